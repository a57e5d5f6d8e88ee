//! A process that was forked, without exec, after its parent had used a pool: its own pool works.

use std::fs;
use std::path::Path;
use std::thread;

use cenote::GetError;
use tokio::runtime::Builder;

use crate::alone::alone;
use crate::server::{Act, Server, ms};

/// Whether a get whose dial hangs is told when its time is up.
fn a_get_times_out() -> bool {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let server = Server::default();
        server.plan(|plan| plan.connect = Act::Never);
        let pool = server.pool(1);
        let outcome = pool.get().timeout(ms(5)).await;
        matches!(outcome, Err(GetError::TimedOut(_)))
    })
}

/// A child of a bare fork has none of its parent's threads, that of the timers included: as a daemon of old, and the
/// workers of a server that forks them. Any lock that another test holds at that moment would stay taken in the child.
#[test]
fn a_pool_built_after_a_fork_keeps_time() {
    alone("forked::a_pool_built_after_a_fork_keeps_time", forks);
}

/// Until the timers' thread sleeps, and was not woken during a thousand looks: forked while it goes to sleep, or wakes, the
/// child would inherit a lock of its runtime half taken.
fn until_the_timers_sleep() {
    let mut asleep_since = None;
    let mut looks = 0;
    while looks < 1_000 {
        let asleep = fs::read_dir("/proc/self/task")
            .expect("Linux lists a process's threads")
            .flatten()
            .find_map(|task| asleep(&task.path()));
        looks = match asleep.is_some() && asleep == asleep_since {
            true => looks + 1,
            false => 0,
        };
        asleep_since = asleep;
        thread::yield_now();
    }
}

/// How often it has gone to sleep by now, if this is the timers' thread and it sleeps.
fn asleep(task: &Path) -> Option<String> {
    let comm = fs::read_to_string(task.join("comm")).ok()?;
    let status = fs::read_to_string(task.join("status")).ok()?;
    let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let sleeps = value("State:")?.trim().starts_with('S');
    let times = value("voluntary_ctxt_switches:")?.trim();
    (comm.trim() == "cenote-timers" && sleeps).then(|| times.to_owned())
}

fn forks() {
    assert!(a_get_times_out());
    until_the_timers_sleep();
    // SAFETY: the child uses nothing of its parent's, and leaves without unwinding into the test's frames.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: these two have no preconditions.
        unsafe {
            // It ends by this signal if it waits for ever.
            libc::alarm(60);
            libc::_exit(i32::from(!a_get_times_out()));
        }
    }
    assert!(child > 0, "the system gives no process");
    let mut status = 0;
    // SAFETY: a child of this process, and a place for its status.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert!(
        libc::WIFEXITED(status),
        "ended by signal {}",
        libc::WTERMSIG(status)
    );
    assert_eq!(libc::WEXITSTATUS(status), 0);
}
