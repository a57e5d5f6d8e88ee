//! The user whose connection is in the state that the cell is about, and how it gets there.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::bound::OUTER_LIMIT;
use crate::cell::{Cell, Kind};
use crate::field::{Failure, Field};
use crate::situation::Situation;
use crate::state::State;
use crate::target::{Cue, Phase, SIZE, Target};
use crate::trouble::Trouble;
use crate::users::{PATIENCE, tag};

/// Longer than `check_after_idle` is by default.
const IDLE: Duration = Duration::from_millis(1_300);
/// How many calls of one lease take the server a while.
const LONG: usize = 10;

/// The user whose connection is in the state: when it had an answer, and which.
pub type Subject = JoinHandle<(Instant, Result<(), Trouble>)>;

/// Brings a connection into the state, if it is one of an open connection. Its user goes on when the phase says so,
/// if it has one.
pub async fn bring_into_state<F: Field, T: Target>(
    cell: Cell,
    target: &Arc<T>,
    field: &F,
    phase: watch::Receiver<Phase>,
) -> Result<Option<Subject>, Failure> {
    let (ready, is_ready) = oneshot::channel();
    let patience = match (cell.situation, cell.kind) {
        // Nothing else can find it out.
        (Situation::Swallowed, Kind::Exclusive) => Some(PATIENCE),
        _ => None,
    };
    let cue = Cue::new(ready, phase, patience);
    let (target, channel) = (target.clone(), field.site().name.clone());
    let state = cell.state;
    match state {
        State::BeingDialled => return Ok(None),
        State::Idle => {
            let mut leases = Vec::new();
            for _ in 1..SIZE {
                leases.push(target.get().await.map_err(|trouble| trouble.to_string())?);
            }
            drop(leases);
            sleep(IDLE).await;
            return Ok(None);
        }
        State::Leased | State::InService | State::Listening | State::InTransaction => {}
    }
    let task = tokio::spawn(async move {
        let answer = live(state, &*target, &channel, cue).await;
        (Instant::now(), answer)
    });
    match timeout(OUTER_LIMIT, is_ready).await {
        Ok(Ok(())) => Ok(Some(task)),
        Ok(Err(_)) => {
            let (_, answer) = task.await?;
            Err(format!("no connection could be {}: {answer:?}", state.name()).into())
        }
        Err(_) => Err(format!("no connection was ever {}", state.name()).into()),
    }
}

async fn live<T: Target>(
    state: State,
    target: &T,
    channel: &str,
    mut cue: Cue,
) -> Result<(), Trouble> {
    match state {
        State::Leased => hold(target, cue).await,
        State::Listening => {
            let mut lease = target.get().await?;
            target.listen(&mut lease, channel, &mut cue).await
        }
        State::InTransaction => {
            let mut lease = target.get().await?;
            target.transact(&mut lease, tag(), &mut cue).await
        }
        State::InService | State::Idle | State::BeingDialled => serve(target, cue).await,
    }
}

/// A user makes one call after the other, most of the time one that takes the server a while, until what was under way
/// as the situation began has an answer.
async fn serve<T: Target>(target: &T, mut cue: Cue) -> Result<(), Trouble> {
    loop {
        let mut lease = target.get().await?;
        while cue
            .wait(target.ask(&mut lease, tag()))
            .await
            .transpose()?
            .is_none()
        {}
        if cue.has_begun() {
            return Ok(());
        }
        drop(lease);
        let mut lease = target.get().await?;
        cue.ready();
        for _ in 0..LONG {
            while cue
                .wait(target.dawdle(&mut lease, tag()))
                .await
                .transpose()?
                .is_none()
            {}
            if cue.has_begun() {
                return Ok(());
            }
        }
    }
}

/// Holds a connection, and asks nothing until the situation has begun.
async fn hold<T: Target>(target: &T, mut cue: Cue) -> Result<(), Trouble> {
    let mut lease = target.get().await?;
    // An even one leaves traces.
    let even = [tag(), tag()].into_iter().find(|tag| tag % 2 == 0);
    target.ask(&mut lease, even.unwrap_or_else(tag)).await?;
    cue.begun().await;
    while cue
        .wait(target.go_on(&mut lease, tag()))
        .await
        .transpose()?
        .is_none()
    {}
    Ok(())
}
