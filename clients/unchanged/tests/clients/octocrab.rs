//! octocrab, of a server that answers as GitHub does.

#[path = "../../../../crates/cenote-http/src/clients/octocrab.rs"]
mod shown;

use http::{Method, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use octocrab::Octocrab;
use serde_json::{Value, json};

use crate::server::{Reply, Server, reply};
use crate::{http, soon};

async fn answer(request: Request<Incoming>) -> Reply {
    let agent = request.headers().get("user-agent").cloned();
    match (request.method().clone(), request.uri().path()) {
        _ if agent.is_none_or(|agent| agent != "my-app") => reply(403, "{}"),
        (Method::GET, "/repos/o/r") => reply(200, json!({ "full_name": "o/r" }).to_string()),
        (Method::POST, "/repos/o/r/issues") => {
            let said = request.into_body().collect().await;
            reply(201, said.map_err(std::io::Error::other)?.to_bytes())
        }
        _ => reply(404, json!({ "message": "Not Found" }).to_string()),
    }
}

fn crab(server: &Server) -> Octocrab {
    shown::client(http(), server.url("/").parse().unwrap())
}

#[tokio::test]
async fn requests_are_answered_over_one_connection() {
    let server = Server::answering(answer).await;
    let crab = crab(&server);
    let found: Value = soon(crab.get("/repos/o/r", None::<&()>)).await.unwrap();
    assert_eq!(found["full_name"], "o/r");
    let issue = json!({ "title": "It works" });
    let made: Value = soon(crab.post("/repos/o/r/issues", Some(&issue)))
        .await
        .unwrap();
    assert_eq!(made, issue);
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn what_the_server_refuses_is_told_as_github_says_it() {
    let server = Server::answering(answer).await;
    let crab = crab(&server);
    let asked = crab.get::<Value, _, ()>("/repos/o/missing", None);
    let error = soon(asked).await.unwrap_err();
    let octocrab::Error::GitHub { source, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(
        (source.status_code.as_u16(), &*source.message),
        (404, "Not Found")
    );
}
