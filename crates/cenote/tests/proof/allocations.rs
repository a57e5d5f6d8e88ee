//! What a call or a lease allocates: nothing, beside what the codec makes of its messages.
//!
//! The allocator is the whole program's, and counts for each thread by itself: other tests are on other threads, and so
//! is the server.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::thread;

use bytes::{Buf, BufMut, BytesMut};
use cenote::mux::{Frame, Mux, MuxBuilder};
use cenote::{Connect, Dial, Lease, Pool, Verdict};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_util::codec::{Decoder, Encoder};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

// SAFETY: all is the system allocator's; the count is a cell without a destructor, and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise, passed on.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Messages are numbers, which need no allocation of their own.
#[derive(Clone)]
struct Numbers;

impl Encoder<Frame<u64>> for Numbers {
    type Error = io::Error;

    fn encode(&mut self, frame: Frame<u64>, buffer: &mut BytesMut) -> io::Result<()> {
        buffer.put_u32(frame.tag.unwrap());
        buffer.put_u64(frame.message);
        Ok(())
    }
}

impl Decoder for Numbers {
    type Item = Frame<u64>;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<Frame<u64>>> {
        Ok((input.len() >= 12).then(|| Frame {
            tag: Some(input.get_u32()),
            message: input.get_u64(),
        }))
    }
}

/// The same without tags.
#[derive(Clone)]
struct InOrder;

impl Encoder<u64> for InOrder {
    type Error = io::Error;

    fn encode(&mut self, message: u64, buffer: &mut BytesMut) -> io::Result<()> {
        buffer.put_u64(message);
        Ok(())
    }
}

impl Decoder for InOrder {
    type Item = u64;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<u64>> {
        Ok((input.len() >= 8).then(|| input.get_u64()))
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Connected to a server on a thread of its own, which sends back what it reads.
async fn echo() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let server = listener.accept().await.unwrap().0.into_std().unwrap();
    thread::spawn(move || {
        runtime().block_on(async {
            let mut server = TcpStream::from_std(server).unwrap();
            let (mut read, mut write) = server.split();
            tokio::io::copy(&mut read, &mut write).await
        })
    });
    stream.set_nodelay(true).unwrap();
    stream
}

/// So many calls at once, until all have their replies.
async fn together<const N: usize>(mux: &Mux<u64, u64>) {
    let mut calls = pin!(std::array::from_fn::<_, N, _>(|n| Some(mux.call(n as u64))));
    poll_fn(|cx| {
        let mut left = N;
        for (n, slot) in calls.iter_mut().enumerate() {
            let Some(call) = slot else {
                left -= 1;
                continue;
            };
            if let Poll::Ready(reply) = pin!(call).poll(cx) {
                assert_eq!(reply.unwrap(), n as u64);
                *slot = None;
                left -= 1;
            }
        }
        if left == 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

const ROUND: u64 = 20;

/// How often `ROUND` times 1 and 64 calls allocate, once all buffers have their size: when that is, depends on how
/// many calls the threads' pace has brought into one write or read, so that the least of many rounds is taken. What
/// each call allocates is in all of them.
async fn allocations(mux: &Mux<u64, u64>) -> u64 {
    let mut least = u64::MAX;
    for _ in 0..20 {
        let before = ALLOCATIONS.get();
        for _ in 0..ROUND {
            together::<1>(mux).await;
            together::<64>(mux).await;
        }
        least = least.min(ALLOCATIONS.get() - before);
    }
    least
}

#[test]
fn a_tagged_call_allocates_nothing() {
    runtime().block_on(async {
        let (read, write) = echo().await.into_split();
        let mux = MuxBuilder::new().tagged(read, write, Numbers).unwrap();
        assert_eq!(allocations(&mux).await, 0);
    });
}

#[test]
fn a_call_in_order_allocates_nothing() {
    runtime().block_on(async {
        let (read, write) = echo().await.into_split();
        let mux = MuxBuilder::new().in_order(read, write, InOrder).unwrap();
        assert_eq!(allocations(&mux).await, 0);
    });
}

/// Half of 64 calls wait for their turn.
#[test]
fn a_call_that_waits_for_its_turn_allocates_once() {
    runtime().block_on(async {
        let (read, write) = echo().await.into_split();
        let mux = MuxBuilder::new()
            .max_in_flight(32)
            .tagged(read, write, Numbers)
            .unwrap();
        assert_eq!(allocations(&mux).await, ROUND * 32);
    });
}

/// Connections are numbers.
struct Numbered;

impl Connect for Numbered {
    type Connection = u64;
    type Error = io::Error;

    async fn connect(&self, _: &Dial) -> io::Result<u64> {
        Ok(7)
    }

    fn verdict(&self, _: &mut u64) -> Verdict {
        Verdict::Reuse
    }
}

#[test]
fn a_lease_of_an_idle_connection_allocates_nothing_and_its_label_only_once() {
    runtime().block_on(async {
        let pool = Pool::new(Numbered);
        let lease = async || {
            let lease = pool.get().await.unwrap();
            Lease::set_label(&lease, "checkout");
        };
        lease().await;
        let before = ALLOCATIONS.get();
        for _ in 0..ROUND {
            lease().await;
        }
        assert_eq!(ALLOCATIONS.get(), before);
    });
}
