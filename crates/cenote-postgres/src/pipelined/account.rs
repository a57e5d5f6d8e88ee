//! How much of the server's replies a connection holds for callers that have not taken them yet.
//!
//! Promises that small replies always find room, so that those who leave large ones lying cost only each
//! other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A reply of up to this part of the bound is held in any case.
const SMALL: usize = 4096;

/// The account of one connection.
#[derive(Debug)]
pub(super) struct Account {
    held: AtomicUsize,
    bound: usize,
}

impl Account {
    /// An account for `bound` bytes.
    pub(super) fn new(bound: usize) -> Arc<Self> {
        Arc::new(Self {
            held: AtomicUsize::new(0),
            bound,
        })
    }

    pub(super) fn bound(&self) -> usize {
        self.bound
    }
}

/// What is held of one reply. Given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    account: Arc<Account>,
    bytes: usize,
}

impl Held {
    pub(super) fn nothing(account: &Arc<Account>) -> Self {
        Self {
            account: account.clone(),
            bytes: 0,
        }
    }

    /// Whether there is room for this much more of the reply; then it is held.
    pub(super) fn add(&mut self, bytes: usize) -> bool {
        let Account { held, bound } = &*self.account;
        let mine = self.bytes.saturating_add(bytes);
        // Saturating is enough: what is held exists in memory.
        let all = held
            .fetch_add(bytes, Ordering::Relaxed)
            .saturating_add(bytes);
        if all > *bound && mine > bound / SMALL {
            held.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        self.bytes = mine;
        true
    }

    pub(super) fn give_back(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.account.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_beyond_the_bound_finds_no_room_until_another_is_given_back() {
        let account = Account::new(1 << 20);
        let (mut one, mut other) = (Held::nothing(&account), Held::nothing(&account));
        assert!(one.add(1 << 20));
        assert!(!other.add(1 << 10));
        drop(one);
        assert!(other.add(1 << 10));
    }

    #[test]
    fn a_small_reply_finds_room_whatever_is_held() {
        let account = Account::new(1 << 20);
        let (mut one, mut other) = (Held::nothing(&account), Held::nothing(&account));
        assert!(one.add(1 << 20));
        assert!(other.add(200) && other.add(56));
        assert!(!other.add(1), "it is not small any more");
    }
}
