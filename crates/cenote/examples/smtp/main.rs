//! A pool of SMTP sessions: a connector with everything, and a mail server for it to talk to. What each method is for
//! stands in `docs/connectors.md`.
//!
//! `cargo run -p cenote --example smtp`

mod connector;
mod server;
mod session;

use std::time::Duration;

use cenote::Pool;
use cenote::error::BoxError;
use cenote::net::Host;
use tokio::task::JoinSet;
use tokio::time::timeout;

use connector::Smtp;
use server::Server;
use session::Mail;

const MAILS: usize = 1_000;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let server = Server::start().await?;
    let pool = Pool::builder(Smtp::new([Host::from(server.addr)], "client.example"))
        .name("mail")
        .max_size(4)
        .check_after_idle(Duration::from_secs(30))
        .build()?;

    let mut senders = JoinSet::new();
    for number in 0..MAILS {
        let pool = pool.clone();
        senders.spawn(async move {
            let mail = Mail {
                from: "ann@client.example".into(),
                to: format!("bob+{number}@mail.example"),
                text: format!("Subject: number {number}\n\nHello Bob,\n.\nthat was a dot.\n"),
            };
            let mut session = pool.get().await?;
            // Every tenth loses patience at some moment. What is left of its session reaches nobody else.
            let patience = match number % 10 {
                0 => Duration::from_micros(number as u64),
                _ => Duration::MAX,
            };
            match timeout(patience, session.deliver(&mail)).await {
                Ok(delivered) => delivered.map(|()| true).map_err(Into::into),
                Err(_) => Ok::<_, BoxError>(false),
            }
        });
    }
    let mut sent = 0;
    while let Some(outcome) = senders.join_next().await {
        sent += usize::from(outcome??);
    }
    println!(
        "{sent} of {MAILS} mails handed over, {} arrived",
        server.log().mails.len()
    );
    println!("{}", pool.status());
    pool.close().await;
    println!("{} sessions, all over", server.log().sessions);
    Ok(())
}
