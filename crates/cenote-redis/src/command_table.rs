//! Every command of Redis by name, and what it asks of the connection that carries it.
//!
//! Owns no rule about what follows from that: `session` keeps the account of an exclusive connection, `sharing`
//! decides what may go down a shared one. Here are the commands of Redis up to 8 and of Valkey; a test
//! (`tests/command_table.rs`) reads this file and the list of a real server, and finds each in it.
//!
//! Promises: a command that is found here as [`Kind::Ordinary`] leaves nothing behind on its connection, has exactly
//! one reply, and would be answered alike on any other connection with the same login.

/// What a command asks of its connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Nothing: any connection will do, and it is the same afterwards.
    Ordinary,
    /// Nothing, but its reply is about the connection itself.
    AboutConnection,
    /// To wait, for as long as the argument says that stands there.
    Blocks(Limit),
    /// To wait until replicas have what this very connection wrote.
    AwaitsReplicas,
    OpensTransaction,
    EndsTransaction,
    Watches,
    Unwatches,
    Selects,
    /// Another user, name, protocol or mode, which `RESET` undoes.
    ChangesIdentity,
    /// Something that nothing undoes, or its end.
    IsFinal,
    /// Messages that answer no command.
    Listens,
    /// A stream of replication, or commands within one, which have no reply.
    Replicates,
    /// No more replies, or none to the next command.
    Silences,
    /// It depends on the word after it: [`client`], [`script`].
    Client,
    Script,
}

/// Where a command says how long it may wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    /// Seconds, in the first argument.
    First,
    /// Seconds, in the last argument.
    Last,
    /// Milliseconds, after `BLOCK` before `STREAMS`; without it, it does not wait.
    Block,
}

/// The kind of a command, its name in capitals; `None` for one that no server known here has, such as a module's.
pub(crate) fn kind_of(name: &[u8]) -> Option<Kind> {
    Some(match name {
        b"MULTI" => Kind::OpensTransaction,
        b"EXEC" | b"DISCARD" => Kind::EndsTransaction,
        b"WATCH" => Kind::Watches,
        b"UNWATCH" => Kind::Unwatches,
        b"SELECT" => Kind::Selects,
        b"AUTH" | b"HELLO" | b"RESET" | b"READONLY" | b"READWRITE" | b"ASKING" => {
            Kind::ChangesIdentity
        }
        b"QUIT" | b"SHUTDOWN" => Kind::IsFinal,
        b"CLIENT" => Kind::Client,
        b"SCRIPT" => Kind::Script,
        b"SUBSCRIBE" | b"PSUBSCRIBE" | b"SSUBSCRIBE" | b"UNSUBSCRIBE" | b"PUNSUBSCRIBE"
        | b"SUNSUBSCRIBE" | b"MONITOR" => Kind::Listens,
        b"SYNC" | b"PSYNC" | b"REPLCONF" => Kind::Replicates,
        b"BLPOP" | b"BRPOP" | b"BLMOVE" | b"BRPOPLPUSH" | b"BZPOPMIN" | b"BZPOPMAX" => {
            Kind::Blocks(Limit::Last)
        }
        b"BLMPOP" | b"BZMPOP" => Kind::Blocks(Limit::First),
        b"XREAD" | b"XREADGROUP" => Kind::Blocks(Limit::Block),
        b"WAIT" | b"WAITAOF" => Kind::AwaitsReplicas,
        name if is_ordinary(name) => Kind::Ordinary,
        _ => return None,
    })
}

/// `CLIENT` and this word, in capitals.
pub(crate) fn client(word: &[u8]) -> Option<Kind> {
    Some(match word {
        b"ID" | b"INFO" | b"GETNAME" | b"GETREDIR" | b"TRACKINGINFO" => Kind::AboutConnection,
        b"LIST" | b"KILL" | b"PAUSE" | b"UNPAUSE" | b"UNBLOCK" | b"HELP" => Kind::Ordinary,
        b"SETNAME" | b"TRACKING" | b"CACHING" => Kind::ChangesIdentity,
        b"REPLY" => Kind::Silences,
        // RESET does not undo these.
        b"NO-EVICT" | b"NO-TOUCH" | b"SETINFO" | b"CAPA" | b"IMPORT-SOURCE" => Kind::IsFinal,
        _ => return None,
    })
}

/// `SCRIPT` and this word, in capitals.
pub(crate) fn script(word: &[u8]) -> Option<Kind> {
    Some(match word {
        b"DEBUG" => Kind::IsFinal,
        b"EXISTS" | b"FLUSH" | b"HELP" | b"KILL" | b"LOAD" | b"SHOW" => Kind::Ordinary,
        _ => return None,
    })
}

#[rustfmt::skip]
fn is_ordinary(name: &[u8]) -> bool {
    matches!(
        name,
        // Strings and bits
        b"APPEND" | b"BITCOUNT" | b"BITFIELD" | b"BITFIELD_RO" | b"BITOP" | b"BITPOS" | b"DECR" | b"DECRBY"
        | b"DELEX" | b"DELIFEQ" | b"DIGEST" | b"GET" | b"GETBIT" | b"GETDEL" | b"GETEX" | b"GETRANGE" | b"GETSET"
        | b"INCR" | b"INCRBY" | b"INCRBYFLOAT" | b"LCS" | b"MGET" | b"MSET" | b"MSETEX" | b"MSETNX" | b"PSETEX"
        | b"SET" | b"SETBIT" | b"SETEX" | b"SETNX" | b"SETRANGE" | b"STRLEN" | b"SUBSTR"
        // Keys
        | b"COPY" | b"DEL" | b"DUMP" | b"EXISTS" | b"EXPIRE" | b"EXPIREAT" | b"EXPIRETIME" | b"KEYS" | b"MIGRATE"
        | b"MOVE" | b"OBJECT" | b"PERSIST" | b"PEXPIRE" | b"PEXPIREAT" | b"PEXPIRETIME" | b"PTTL" | b"RANDOMKEY"
        | b"RENAME" | b"RENAMENX" | b"RESTORE" | b"RESTORE-ASKING" | b"SCAN" | b"SORT" | b"SORT_RO" | b"TOUCH"
        | b"TTL" | b"TYPE" | b"UNLINK"
        // Hashes
        | b"HDEL" | b"HEXISTS" | b"HEXPIRE" | b"HEXPIREAT" | b"HEXPIRETIME" | b"HGET" | b"HGETALL" | b"HGETDEL"
        | b"HGETEX" | b"HINCRBY" | b"HINCRBYFLOAT" | b"HKEYS" | b"HLEN" | b"HMGET" | b"HMSET" | b"HPERSIST"
        | b"HPEXPIRE" | b"HPEXPIREAT" | b"HPEXPIRETIME" | b"HPTTL" | b"HRANDFIELD" | b"HSCAN" | b"HSET" | b"HSETEX"
        | b"HSETNX" | b"HSTRLEN" | b"HTTL" | b"HVALS"
        // Lists and sets
        | b"LINDEX" | b"LINSERT" | b"LLEN" | b"LMOVE" | b"LMPOP" | b"LPOP" | b"LPOS" | b"LPUSH" | b"LPUSHX"
        | b"LRANGE" | b"LREM" | b"LSET" | b"LTRIM" | b"RPOP" | b"RPOPLPUSH" | b"RPUSH" | b"RPUSHX"
        | b"SADD" | b"SCARD" | b"SDIFF" | b"SDIFFSTORE" | b"SINTER" | b"SINTERCARD" | b"SINTERSTORE" | b"SISMEMBER"
        | b"SMEMBERS" | b"SMISMEMBER" | b"SMOVE" | b"SPOP" | b"SRANDMEMBER" | b"SREM" | b"SSCAN" | b"SUNION"
        | b"SUNIONSTORE"
        // Sorted sets and places
        | b"ZADD" | b"ZCARD" | b"ZCOUNT" | b"ZDIFF" | b"ZDIFFSTORE" | b"ZINCRBY" | b"ZINTER" | b"ZINTERCARD"
        | b"ZINTERSTORE" | b"ZLEXCOUNT" | b"ZMPOP" | b"ZMSCORE" | b"ZPOPMAX" | b"ZPOPMIN" | b"ZRANDMEMBER"
        | b"ZRANGE" | b"ZRANGEBYLEX" | b"ZRANGEBYSCORE" | b"ZRANGESTORE" | b"ZRANK" | b"ZREM" | b"ZREMRANGEBYLEX"
        | b"ZREMRANGEBYRANK" | b"ZREMRANGEBYSCORE" | b"ZREVRANGE" | b"ZREVRANGEBYLEX" | b"ZREVRANGEBYSCORE"
        | b"ZREVRANK" | b"ZSCAN" | b"ZSCORE" | b"ZUNION" | b"ZUNIONSTORE"
        | b"GEOADD" | b"GEODIST" | b"GEOHASH" | b"GEOPOS" | b"GEORADIUS" | b"GEORADIUSBYMEMBER"
        | b"GEORADIUSBYMEMBER_RO" | b"GEORADIUS_RO" | b"GEOSEARCH" | b"GEOSEARCHSTORE"
        // Streams, HyperLogLog, vectors
        | b"XACK" | b"XACKDEL" | b"XADD" | b"XAUTOCLAIM" | b"XCFGSET" | b"XCLAIM" | b"XDEL" | b"XDELEX" | b"XGROUP"
        | b"XINFO" | b"XLEN" | b"XPENDING" | b"XRANGE" | b"XREVRANGE" | b"XSETID" | b"XTRIM"
        | b"PFADD" | b"PFCOUNT" | b"PFDEBUG" | b"PFMERGE" | b"PFSELFTEST"
        | b"VADD" | b"VCARD" | b"VDIM" | b"VEMB" | b"VGETATTR" | b"VINFO" | b"VISMEMBER" | b"VLINKS"
        | b"VRANDMEMBER" | b"VRANGE" | b"VREM" | b"VSETATTR" | b"VSIM"
        // Scripts, which cannot change their connection's session, and messages to others
        | b"EVAL" | b"EVALSHA" | b"EVALSHA_RO" | b"EVAL_RO" | b"FCALL" | b"FCALL_RO" | b"FUNCTION"
        | b"PUBLISH" | b"PUBSUB" | b"SPUBLISH"
        // The server as a whole
        | b"ACL" | b"BGREWRITEAOF" | b"BGSAVE" | b"CLUSTER" | b"COMMAND" | b"COMMANDLOG" | b"CONFIG" | b"DBSIZE"
        | b"DEBUG" | b"ECHO" | b"FAILOVER" | b"FLUSHALL" | b"FLUSHDB" | b"INFO" | b"LASTSAVE" | b"LATENCY"
        | b"LOLWUT" | b"MEMORY" | b"MODULE" | b"PING" | b"REPLICAOF" | b"ROLE" | b"SAVE" | b"SLAVEOF" | b"SLOWLOG"
        | b"SWAPDB" | b"TIME"
    )
}
