//! Commands and replies as the mux wants them: one reply for each request.
//!
//! A pipeline is one request, so that nothing gets in between, and has several replies: how many is said by the
//! encoder to the decoder, which are two clones of the codec. A single command says nothing and takes no lock.
//!
//! Promises: a reply is handed over only when the session is as it was before; else the connection ends.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec;

use bytes::BytesMut;
use cenote::error::BoxError;
use tokio_util::codec;

use super::role::Role;
use crate::cmd::Cmd;
use crate::codec::Decoder;
use crate::error::FrameError;
use crate::session::{Effect, Session};
use crate::value::Value;

/// One command or several, encoded: that is no work to be done under the mux's lock.
pub(crate) struct Request {
    bytes: Vec<u8>,
    /// Where the first command begins in `bytes`.
    start: usize,
    /// What each of several commands does to the session; none for a single one, which does nothing.
    effects: Option<Vec<Effect>>,
}

pub(crate) enum Reply {
    One(Value),
    Group(Vec<Value>),
}

impl Request {
    pub(crate) fn one(cmd: Cmd) -> Self {
        let (bytes, start) = cmd.into_encoded();
        Self {
            bytes,
            start,
            effects: None,
        }
    }

    /// At least one command.
    pub(crate) fn group(cmds: &[Cmd]) -> Self {
        let most = cmds.iter().map(Cmd::max_encoded_len).sum();
        let mut bytes = Vec::with_capacity(most);
        cmds.iter().for_each(|cmd| cmd.encode(&mut bytes));
        Self {
            bytes,
            start: 0,
            effects: Some(cmds.iter().map(Effect::of).collect()),
        }
    }
}

#[derive(Clone)]
pub(super) struct PipelineCodec {
    groups: Arc<Groups>,
    role: Arc<Role>,
    /// The encoder's: requests so far.
    encoded: u64,
    /// The decoder's: requests answered so far.
    answered: u64,
    replies: Decoder,
    /// The group whose replies arrive now.
    group: Option<Group>,
}

/// The groups that were encoded and whose first reply has not come.
#[derive(Default)]
struct Groups {
    /// How many there are, so that the decoder need not lock to see that there is none. A group is counted
    /// before its bytes are written, and so before its replies can come.
    count: AtomicUsize,
    /// In the order of their requests.
    queue: Mutex<VecDeque<(u64, Vec<Effect>)>>,
}

impl Groups {
    fn queue(&self) -> MutexGuard<'_, VecDeque<(u64, Vec<Effect>)>> {
        // Nothing that could panic runs under it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, request: u64, effects: Vec<Effect>) {
        self.queue().push_back((request, effects));
        self.count.fetch_add(1, Ordering::Release);
    }

    /// The group that this request is.
    fn take(&self, request: u64) -> Option<Vec<Effect>> {
        // Pairs with `add`.
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut queue = self.queue();
        queue.front().filter(|(first, _)| *first == request)?;
        let (_, effects) = queue.pop_front()?;
        drop(queue);
        self.count.fetch_sub(1, Ordering::Relaxed);
        Some(effects)
    }
}

#[derive(Clone)]
struct Group {
    effects: vec::IntoIter<Effect>,
    /// As the replies prove it.
    session: Session,
    values: Vec<Value>,
}

impl Group {
    fn new(effects: Vec<Effect>) -> Self {
        Self {
            session: Session::default(),
            values: Vec::with_capacity(effects.len()),
            effects: effects.into_iter(),
        }
    }

    /// Whether that was the last one.
    fn add(&mut self, value: Value) -> Result<bool, FrameError> {
        if let Some(effect) = self.effects.next() {
            if !(matches!(value, Value::Error(_)) && effect.is_undone_by_an_error()) {
                self.session.sent(effect);
            }
            // No command that selects a database shares a connection.
            self.session.answered(effect, &value, 0);
        }
        self.values.push(value);
        if self.effects.len() > 0 {
            return Ok(false);
        }
        if self.session.is_default() {
            Ok(true)
        } else {
            Err(FrameError::TransactionLeftOpen)
        }
    }
}

impl PipelineCodec {
    pub(super) fn new(max_reply_size: usize, role: Arc<Role>) -> Self {
        Self {
            groups: Arc::default(),
            role,
            encoded: 0,
            answered: 0,
            replies: Decoder::new(max_reply_size),
            group: None,
        }
    }

    /// A value arrived: the reply that is whole by it.
    fn place(&mut self, value: Value) -> Result<Option<Reply>, FrameError> {
        if self.group.is_none() {
            self.group = self.groups.take(self.answered).map(Group::new);
        }
        let Some(group) = &mut self.group else {
            self.answered += 1;
            return Ok(Some(Reply::One(value)));
        };
        if !group.add(value)? {
            return Ok(None);
        }
        self.answered += 1;
        Ok(self.group.take().map(|group| Reply::Group(group.values)))
    }
}

impl codec::Encoder<Request> for PipelineCodec {
    type Error = BoxError;

    fn encode(&mut self, request: Request, buffer: &mut BytesMut) -> Result<(), BoxError> {
        if let Some(effects) = request.effects {
            self.groups.add(self.encoded, effects);
        }
        self.encoded += 1;
        buffer.extend_from_slice(&request.bytes[request.start..]);
        Ok(())
    }
}

impl codec::Decoder for PipelineCodec {
    type Item = Reply;
    type Error = BoxError;

    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Reply>, BoxError> {
        while let Some(value) = self.replies.decode(input)? {
            // Nobody asked for a message here.
            if matches!(value, Value::Push(_)) {
                continue;
            }
            if matches!(&value, Value::Error(error) if error.is_read_only()) {
                self.role.demote();
            }
            if let Some(reply) = self.place(value)? {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    /// What is left is cut short, which the mux sees by itself.
    fn decode_eof(&mut self, input: &mut BytesMut) -> Result<Option<Reply>, BoxError> {
        self.decode(input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec::{Decoder as _, Encoder as _};

    fn cmds(names: &[&str]) -> Vec<Cmd> {
        names.iter().copied().map(Cmd::new).collect()
    }

    /// The replies to these requests, by their sizes; 0 for a single one.
    fn sizes(requests: Vec<Request>, input: &str) -> Result<Vec<usize>, String> {
        let mut encoder = PipelineCodec::new(1 << 20, Arc::default());
        let mut decoder = encoder.clone();
        for request in requests {
            let encoded = encoder.encode(request, &mut BytesMut::new());
            encoded.map_err(|error| error.to_string())?;
        }
        let mut sizes = Vec::new();
        let mut arrived = BytesMut::new();
        // Byte by byte: what is decoded never depends on how it arrives.
        for byte in input.bytes() {
            arrived.extend_from_slice(&[byte]);
            while let Some(reply) = decoder
                .decode(&mut arrived)
                .map_err(|error| error.to_string())?
            {
                sizes.push(match reply {
                    Reply::One(_) => 0,
                    Reply::Group(values) => values.len(),
                });
            }
        }
        Ok(sizes)
    }

    #[test]
    fn a_pipeline_has_the_replies_to_all_its_commands() {
        let requests = vec![
            Request::one(Cmd::new("A")),
            Request::group(&cmds(&["B", "C", "D"])),
            Request::group(&cmds(&["E"])),
            Request::one(Cmd::new("F")),
        ];
        let input = "+A\r\n+B\r\n-ERR C\r\n*1\r\n+D\r\n:5\r\n$1\r\nF\r\n";
        assert_eq!(sizes(requests, input), Ok(vec![0, 3, 1, 0]));
    }

    #[test]
    fn a_push_message_answers_nothing() {
        let requests = vec![Request::one(Cmd::new("A"))];
        assert_eq!(sizes(requests, ">1\r\n+news\r\n+A\r\n"), Ok(vec![0]));
    }

    #[test]
    fn a_transaction_ends_by_an_answer_that_proves_it() {
        let request = || vec![Request::group(&cmds(&["MULTI", "INCR", "EXEC"]))];
        for end in [
            "*1\r\n:1\r\n",
            "_\r\n",
            "-EXECABORT Transaction discarded\r\n",
            "-ERR EXEC without MULTI\r\n",
        ] {
            let input = format!("+OK\r\n+QUEUED\r\n{end}");
            assert_eq!(sizes(request(), &input), Ok(vec![3]), "{end}");
        }
        // A user that may not begin one has none open.
        let refused = "-NOPERM no permission\r\n:1\r\n-NOPERM no permission\r\n";
        assert_eq!(sizes(request(), refused), Ok(vec![3]));
        let denied = "+OK\r\n+QUEUED\r\n-NOPERM no permission\r\n";
        let error = sizes(request(), denied).unwrap_err();
        assert!(error.contains("left its transaction open"), "{error}");
    }
}
