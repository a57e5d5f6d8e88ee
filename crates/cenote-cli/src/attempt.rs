//! Whether a target answers at all, before the users try and between two runs.

use std::time::Duration;

use cenote::{Connect, ConnectionInfo, Dial};
use tokio::task::JoinSet;

use crate::failure;
use crate::target::{ServerSet, Service};

/// Connects once and sends one request, so that what cannot work is known before a thousand users try. Of
/// several servers one that answers is enough: what becomes of the others is for the runs to show.
pub async fn attempt<S: Service + Clone>(
    service: &S,
    connect_timeout: Duration,
) -> Result<(), String> {
    let Some(ServerSet {
        discovery,
        connector_to,
        ..
    }) = service.set()
    else {
        return attempt_at(service, service.connector(), connect_timeout).await;
    };
    let mut discovery = discovery.clone();
    // Told once already, or about to be.
    let set = match discovery.set() {
        set if set.is_empty() => discovery.changed().await.unwrap_or_default(),
        set => set,
    };
    // All at once: one that does not answer takes as long as may be.
    let mut attempts = JoinSet::new();
    for server in set.endpoints() {
        let (service, connector) = (service.clone(), connector_to(&server.key));
        attempts.spawn(async move { attempt_at(&service, connector, connect_timeout).await });
    }
    let mut causes = Vec::new();
    while let Some(Ok(outcome)) = attempts.join_next().await {
        match outcome {
            Ok(()) => return Ok(()),
            Err(cause) => causes.push(cause),
        }
    }
    Err(format!(
        "none of its servers answers: {}",
        causes.join("; ")
    ))
}

async fn attempt_at<S: Service>(
    service: &S,
    connector: S::Connector,
    connect_timeout: Duration,
) -> Result<(), String> {
    let dial = Dial::within(connect_timeout);
    let dialled = tokio::time::timeout(connect_timeout, connector.connect(&dial)).await;
    let late = |what: &str| {
        format!(
            "{what} took longer than {}; {}",
            humantime::format_duration(connect_timeout),
            service.doubt()
        )
    };
    let mut connection = dialled
        .map_err(|_| late("connecting"))?
        .map_err(|error| failure::chain(&error))?;
    tokio::time::timeout(connect_timeout, service.request(&mut connection))
        .await
        .map_err(|_| late("one request"))?
        .map_err(|failure| failure.message)?;
    // The runs will show whether closing works.
    let _ = tokio::time::timeout(
        connect_timeout,
        connector.close(connection, &ConnectionInfo::default()),
    )
    .await;
    Ok(())
}

/// Tries until the target answers, or has not for a while: then the run shows what is wrong.
pub async fn settle<S: Service + Clone>(service: &S, patience: Duration) {
    const PAUSE: Duration = Duration::from_millis(100);
    let answered = async {
        while attempt(service, patience).await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    let _ = tokio::time::timeout(patience, answered).await;
}
