//! The connector of `docs/connectors.md`, against a mail server: whatever moment a user leaves at, the next one sees
//! nothing of it, and no mail arrives that was not sent whole.

#[path = "../../examples/smtp/connector.rs"]
mod connector;
#[path = "../../examples/smtp/server.rs"]
mod server;
#[path = "../../examples/smtp/session.rs"]
mod session;

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use cenote::net::Host;
use cenote::{Connect, Dial, FailureKind, Pool, Verdict};
use cenote_testkit::SilentAddress;
use connector::Smtp;
use server::{Received, Server};
use session::{Mail, SmtpError};
use tokio::task::yield_now;

/// All that the server says to one mail, and more.
const REPLIES: usize = 120;

fn mail(subject: &str) -> Mail {
    Mail {
        from: format!("{subject}@client.example"),
        to: "bob@mail.example".into(),
        text: format!("Subject: {subject}\n\nHello,\n.\n.RSET\nbye\n"),
    }
}

/// As the server has it when it was sent whole.
fn received(mail: &Mail) -> Received {
    Received {
        from: mail.from.clone(),
        to: mail.to.clone(),
        text: mail.text.clone(),
    }
}

async fn start() -> (Server, Pool<Smtp>) {
    let server = Server::start().await.unwrap();
    let smtp = Smtp::new([Host::from(server.addr)], "client.example");
    (server, Pool::builder(smtp).max_size(1).build().unwrap())
}

/// Polls often enough to have read whatever has arrived.
async fn poll_on(future: &mut Pin<&mut impl Future>) {
    for _ in 0..20 {
        if future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
        {
            return;
        }
        yield_now().await;
    }
}

/// The connector with `connect` alone gave the next user the previous one's reply. Here the first user leaves
/// after every number of bytes of the replies to its mail.
#[tokio::test]
async fn whenever_a_user_leaves_the_next_sees_its_own_replies_only() {
    for bytes in 0..REPLIES {
        let (server, pool) = start().await;
        let mut session = pool.get().await.unwrap();
        let first = mail("first");
        {
            let mut delivery = pin!(session.deliver(&first));
            server.say_at_most(bytes);
            tokio::select! {
                delivered = &mut delivery => delivered.unwrap(),
                () = server.has_said_all_it_may() => poll_on(&mut delivery).await,
            }
        }
        drop(session);
        server.say_all();

        let second = mail("second");
        let mut session = pool.get().await.unwrap();
        session.noop().await.unwrap();
        session.deliver(&second).await.unwrap();
        let mails = server.log().mails;
        assert!(mails.contains(&received(&second)), "{bytes}: {mails:?}");
        let whole = [received(&first), received(&second)];
        assert!(
            mails.iter().all(|mail| whole.contains(mail)),
            "{bytes}: {mails:?}"
        );
    }
}

/// The same, leaving after every number of polls, the server unhindered.
#[tokio::test]
async fn after_whatever_poll_a_user_leaves_the_next_is_served() {
    let (server, pool) = start().await;
    for polls in 0..60 {
        let mut session = pool.get().await.unwrap();
        let first = mail("first");
        {
            let mut delivery = pin!(session.deliver(&first));
            for _ in 0..polls {
                if delivery
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_ready()
                {
                    break;
                }
                yield_now().await;
            }
        }
        drop(session);
        let second = mail(&format!("second-{polls}"));
        pool.get().await.unwrap().deliver(&second).await.unwrap();
        let mails = server.log().mails;
        assert_eq!(mails.last(), Some(&received(&second)), "{polls}");
        assert!(
            mails
                .iter()
                .filter(|mail| mail.from == first.from)
                .all(|mail| *mail == received(&first))
        );
    }
}

/// Half a mail must not be ended by whatever the next user sends: its session is closed, and the server forgets it.
#[tokio::test]
async fn a_mail_cut_short_while_it_is_written_never_arrives() {
    let (server, pool) = start().await;
    let mut session = pool.get().await.unwrap();
    let mut big = mail("big");
    // More than all buffers on the way hold.
    big.text = format!("{}\n", "x".repeat(64 * 1024)).repeat(1_000);
    {
        let mut delivery = pin!(session.deliver(&big));
        while !server
            .log()
            .commands
            .iter()
            .any(|command| command == "DATA")
        {
            poll_on(&mut delivery).await;
        }
        poll_on(&mut delivery).await;
    }
    drop(session);
    let next = mail("next");
    pool.get().await.unwrap().deliver(&next).await.unwrap();
    assert_eq!(server.log().mails, [received(&next)]);
    assert_eq!(server.log().sessions, 2);
}

/// A command given up costs a round trip, not the session.
#[tokio::test]
async fn a_session_whose_user_left_between_commands_is_reset_and_reused() {
    let (server, pool) = start().await;
    let mut session = pool.get().await.unwrap();
    server.say_at_most(0);
    {
        let mut noop = pin!(session.noop());
        while !server
            .log()
            .commands
            .iter()
            .any(|command| command == "NOOP")
        {
            poll_on(&mut noop).await;
        }
    }
    drop(session);
    server.say_all();
    pool.get().await.unwrap().noop().await.unwrap();
    assert_eq!(server.log().sessions, 1);
    assert_eq!(
        server.log().commands,
        ["EHLO client.example", "NOOP", "RSET", "NOOP"]
    );
}

/// Within one lease the reply that is owed is nobody's: the session says so instead of reading it.
#[tokio::test]
async fn a_session_left_in_the_middle_answers_no_further_call() {
    let (server, pool) = start().await;
    let mut session = pool.get().await.unwrap();
    server.say_at_most(0);
    {
        let mut noop = pin!(session.noop());
        while !server
            .log()
            .commands
            .iter()
            .any(|command| command == "NOOP")
        {
            poll_on(&mut noop).await;
        }
    }
    server.say_all();
    let refused = session.noop().await.unwrap_err();
    assert!(matches!(refused, SmtpError::CutShort), "{refused:?}");
}

/// A mail that the server refused half-way is forgotten before the next one begins.
#[tokio::test]
async fn a_refused_mail_leaves_nothing_to_the_next() {
    let (server, pool) = start().await;
    let mut refused = mail("refused");
    refused.to = "nobody@mail.example".into();
    let error = pool
        .get()
        .await
        .unwrap()
        .deliver(&refused)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the mail server refused RCPT: 550 no nobody@mail.example"
    );
    let next = mail("next");
    pool.get().await.unwrap().deliver(&next).await.unwrap();
    assert_eq!(server.log().mails, [received(&next)]);
    assert_eq!(server.log().sessions, 1);
}

/// Servers end idle sessions with a 421 that nobody asked for.
#[tokio::test]
async fn a_session_that_the_server_ended_is_passed_over() {
    let (server, pool) = start().await;
    pool.get().await.unwrap().noop().await.unwrap();
    server.hang_up();
    let mut open = true;
    while open {
        yield_now().await;
        pool.retain(|session, _| {
            open = session.is_open();
            true
        });
    }
    pool.get().await.unwrap().noop().await.unwrap();
    assert_eq!(server.log().sessions, 2);
}

/// The server learns that it may forget the session.
#[tokio::test]
async fn a_session_that_is_no_longer_wanted_says_goodbye() {
    let (server, pool) = start().await;
    pool.get().await.unwrap().noop().await.unwrap();
    pool.close().await;
    assert_eq!(server.log().commands.last().unwrap(), "QUIT");
}

/// An address cannot carry a command of its own to the server.
#[tokio::test]
async fn an_address_with_a_line_break_is_refused() {
    let (server, pool) = start().await;
    let mut sly = mail("sly");
    sly.to = "bob@mail.example>\r\nRCPT TO:<eve@mail.example".into();
    let error = pool.get().await.unwrap().deliver(&sly).await.unwrap_err();
    assert!(matches!(error, SmtpError::Address), "{error:?}");
    assert_eq!(server.log().commands, ["EHLO client.example"]);
}

/// The first exchanger of the list drops SYNs, the second accepts and never greets, the third takes mail.
#[tokio::test]
async fn hosts_that_hang_are_passed() {
    let silent = SilentAddress::new().unwrap();
    let frozen = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::start().await.unwrap();
    let hosts = [silent.addr(), frozen.local_addr().unwrap(), server.addr].map(Host::from);
    let smtp = Smtp::new(hosts, "client.example");
    let dial = Dial::within(std::time::Duration::from_millis(900));
    let mut session = smtp.connect(&dial).await.unwrap();
    session.noop().await.unwrap();
    assert_eq!(smtp.verdict(&mut session), Verdict::Reuse);
}

/// What a pool is told of hosts that are away, and the user with it: each by its name.
#[tokio::test]
async fn the_error_names_each_host_with_its_cause() {
    let refused = || {
        std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    };
    let (one, other) = (refused(), refused());
    let smtp = Smtp::new([one, other].map(Host::from), "client.example");
    let error = smtp.connect(&Dial::new()).await.map(drop).unwrap_err();
    assert_eq!(smtp.classify(&error), FailureKind::Transient);
    assert_eq!(error.to_string(), "no mail server of the list can be used");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    let refused = "Connection refused (os error 111)";
    assert_eq!(
        cause,
        format!("cannot connect to {one}: {refused}; cannot connect to {other}: {refused}")
    );
}
