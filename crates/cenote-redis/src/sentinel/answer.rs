//! What a sentinel is asked, and what its replies mean.
//!
//! Where the master is, `GET-MASTER-ADDR-BY-NAME` says first: in a failover it names the new one as soon as that is
//! promoted. How new that is, `MASTER` says, by the configuration epoch: the number of the failover that made it so.

use std::collections::BTreeMap;

use cenote::endpoints::EndpointSet;
use cenote::net::Host;

use super::error::SentinelFault;
use crate::cmd::Cmd;
use crate::convert::FromReply;
use crate::error::ServerError;
use crate::node::{RedisNode, ServerRole};
use crate::value::Value;

/// Which of the servers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Master,
    Replicas,
}

pub(super) struct Answer {
    pub(super) epoch: u64,
    pub(super) set: EndpointSet<RedisNode>,
    /// The other sentinels that this one knows.
    pub(super) others: Vec<Host>,
}

/// No more of the sentinels that one names are kept, whatever it says.
const MOST_OTHERS: usize = 32;

type Fields = BTreeMap<String, String>;
type Reply = Result<Value, ServerError>;

/// What is asked at once, so that all of it is of one moment.
pub(super) fn question(master: &str, view: View) -> Vec<Cmd> {
    let ask = |what: &str| Cmd::new("SENTINEL").arg(what).arg(master);
    let mut cmds = vec![
        ask("GET-MASTER-ADDR-BY-NAME"),
        ask("MASTER"),
        ask("SENTINELS"),
    ];
    if view == View::Replicas {
        cmds.push(ask("REPLICAS"));
    }
    cmds
}

/// The answer that these replies to the [`question`] give.
pub(super) fn understand(replies: Vec<Reply>) -> Result<Answer, SentinelFault> {
    let mut replies = replies.into_iter();
    let mut next = || match replies.next() {
        Some(reply) => reply.map_err(SentinelFault::Refused).map(Some),
        None => Ok(None),
    };
    let address = next()?.ok_or(SentinelFault::Malformed("too few replies"))?;
    if address == Value::Nil {
        return Err(SentinelFault::UnknownMaster);
    }
    let (host, port): (String, String) = read(address, "the master's address")?;
    let master = node(&host, &port, ServerRole::Master)
        .ok_or(SentinelFault::Malformed("the master's address"))?;
    let of_master: Fields = read(next()?.unwrap_or(Value::Nil), "the master")?;
    let others: Vec<Fields> = read(next()?.unwrap_or(Value::Nil), "the other sentinels")?;
    let set = match next()? {
        None => EndpointSet::of([master]),
        Some(replicas) => {
            let replicas: Vec<Fields> = read(replicas, "the replicas")?;
            let usable = replicas.iter().filter(|fields| is_usable(fields));
            let nodes = usable.filter_map(|fields| node_of(fields, ServerRole::Replica));
            // One that is being promoted is listed as well.
            EndpointSet::of(nodes.filter(|node| node.place() != master.place()))
        }
    };
    let epoch = of_master.get("config-epoch");
    let others = others
        .iter()
        .filter_map(|fields| Some(node_of(fields, ServerRole::Master)?.place()));
    Ok(Answer {
        epoch: epoch
            .and_then(|epoch| epoch.parse().ok())
            .ok_or(SentinelFault::Malformed("the master's config-epoch"))?,
        set,
        others: others.take(MOST_OTHERS).collect(),
    })
}

fn read<T: FromReply>(reply: Value, what: &'static str) -> Result<T, SentinelFault> {
    T::from_reply(reply).map_err(|_| SentinelFault::Malformed(what))
}

/// Whether a replica can be read from: the sentinel does not think it down, and it is a replica by its own word. A master
/// that comes back after a failover is listed before it has heard that it is one no more.
fn is_usable(replica: &Fields) -> bool {
    let flags = replica.get("flags").map_or("", String::as_str);
    let is_down = flags
        .split(',')
        .any(|flag| matches!(flag, "s_down" | "o_down"));
    let role = replica.get("role-reported").map_or("slave", String::as_str);
    !is_down && role == "slave"
}

fn node_of(fields: &Fields, role: ServerRole) -> Option<RedisNode> {
    node(fields.get("ip")?, fields.get("port")?, role)
}

fn node(host: &str, port: &str, role: ServerRole) -> Option<RedisNode> {
    RedisNode::new(host, port.parse().ok()?, role).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.to_owned().into())
    }

    /// As RESP2 sends pairs.
    fn flat(pairs: &[(&str, &str)]) -> Value {
        let words = pairs.iter().flat_map(|(name, value)| [*name, *value]);
        Value::Array(words.map(bulk).collect())
    }

    fn map(pairs: &[(&str, &str)]) -> Value {
        let pairs = pairs.iter().map(|(name, value)| (bulk(name), bulk(value)));
        Value::Map(pairs.collect())
    }

    fn address(host: &str, port: &str) -> Reply {
        Ok(Value::Array(vec![bulk(host), bulk(port)]))
    }

    fn epoch(number: &str) -> Reply {
        Ok(flat(&[("name", "orders"), ("config-epoch", number)]))
    }

    fn replica(host: &str, flags: &str, role: &str) -> Value {
        let fields = [
            ("ip", host),
            ("port", "1"),
            ("flags", flags),
            ("role-reported", role),
        ];
        map(&fields)
    }

    fn shown(set: &EndpointSet<RedisNode>) -> Vec<String> {
        let endpoints = set.endpoints().iter();
        endpoints.map(|at| at.key.to_string()).collect()
    }

    #[test]
    fn the_answer_is_the_master_with_its_epoch_and_the_other_sentinels() {
        let others = Value::Array(vec![
            flat(&[("ip", "fd00::2"), ("port", "26379")]),
            map(&[("ip", "s3"), ("port", "26379")]),
            map(&[("ip", "not a host"), ("port", "26379")]),
        ]);
        let answer = understand(vec![address("10.0.0.1", "6379"), epoch("7"), Ok(others)]).unwrap();
        assert_eq!(answer.epoch, 7);
        assert_eq!(shown(&answer.set), ["10.0.0.1:6379"]);
        let others: Vec<_> = answer.others.iter().map(Host::to_string).collect();
        assert_eq!(others, ["[fd00::2]:26379", "s3:26379"]);
    }

    #[test]
    fn replicas_are_told_that_are_up_and_say_that_they_are_replicas_but_for_one_being_promoted() {
        let replicas = Value::Array(vec![
            replica("good", "slave", "slave"),
            replica("down", "s_down,slave,disconnected", "slave"),
            replica("back", "slave", "master"),
            replica("promoted", "slave,promoted", "slave"),
        ]);
        let nobody = Ok(Value::Array(vec![]));
        let answer = understand(vec![
            address("promoted", "1"),
            epoch("8"),
            nobody,
            Ok(replicas),
        ]);
        assert_eq!(shown(&answer.unwrap().set), ["good:1"]);
    }

    #[test]
    fn what_no_sentinel_says_is_told_as_such() {
        let nobody = || Ok(Value::Array(vec![]));
        let unknown = understand(vec![Ok(Value::Nil), epoch("1"), nobody()]);
        assert!(matches!(unknown, Err(SentinelFault::UnknownMaster)));
        let refused = Err(ServerError::new("ERR unknown command 'SENTINEL'"));
        assert!(matches!(
            understand(vec![refused]),
            Err(SentinelFault::Refused(_))
        ));
        for replies in [
            vec![],
            vec![address("", "1"), epoch("1"), nobody()],
            vec![address("a", "99999"), epoch("1"), nobody()],
            vec![address("a", "1"), epoch("many"), nobody()],
            vec![address("a", "1"), epoch("1")],
            vec![Ok(Value::Int(1)), epoch("1"), nobody()],
        ] {
            let told = understand(replies);
            assert!(matches!(told, Err(SentinelFault::Malformed(_))));
        }
    }
}
