//! What the server says without being asked: notifications and notices, kept for the user of the session within
//! bounds.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Notification};

/// The notifications that are kept for a session that listens may have this many bytes together.
const NOTIFICATIONS: usize = 4 * 1024 * 1024;
/// What a notification takes beside its texts.
const OVERHEAD: usize = 96;
/// How many notices are kept, and how many bytes of text they may have together.
const NOTICES: usize = 100;
const NOTICE_TEXTS: usize = 1024 * 1024;

/// The messages of one session that its user has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// No user code runs under it, and nothing else is locked.
    kept: Mutex<Kept>,
    /// Told of a notification and of the end of the session. The one user of the session takes them.
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    notifications: VecDeque<Notification>,
    bytes: usize,
    /// Notifications that found no room since the last was taken.
    lost: u64,
    notices: VecDeque<DbError>,
    notice_texts: usize,
    has_ended: bool,
}

/// What there is for one who waits for notifications.
pub(crate) enum Mail {
    Notification(Notification),
    /// So many found no room, after those that were taken.
    Lost(u64),
    Nothing,
    /// Nor will there be anything.
    Ended,
}

impl Inbox {
    pub(crate) fn put(&self, message: AsyncMessage) {
        let mut kept = self.kept();
        match message {
            AsyncMessage::Notification(notification) => {
                let bytes = size(&notification);
                if kept.lost > 0 || kept.bytes + bytes > NOTIFICATIONS {
                    // Those that came first stay: after a gap the user has to look at the data anyway.
                    kept.lost += 1;
                } else {
                    kept.bytes += bytes;
                    kept.notifications.push_back(notification);
                }
                drop(kept);
                self.arrived.notify_one();
            }
            AsyncMessage::Notice(notice) => {
                kept.notice_texts += texts(&notice);
                kept.notices.push_back(notice);
                while kept.notices.len() > NOTICES || kept.notice_texts > NOTICE_TEXTS {
                    let Some(oldest) = kept.notices.pop_front() else {
                        break;
                    };
                    kept.notice_texts -= texts(&oldest);
                }
            }
            // The driver may have more to say one day.
            _ => {}
        }
    }

    /// The session has ended.
    pub(crate) fn end(&self) {
        self.kept().has_ended = true;
        self.arrived.notify_one();
    }

    pub(crate) fn take_notification(&self) -> Mail {
        let mut kept = self.kept();
        if let Some(notification) = kept.notifications.pop_front() {
            kept.bytes -= size(&notification);
            return Mail::Notification(notification);
        }
        match mem::take(&mut kept.lost) {
            0 if kept.has_ended => Mail::Ended,
            0 => Mail::Nothing,
            lost => Mail::Lost(lost),
        }
    }

    /// Returns when there may be mail.
    pub(crate) async fn arrival(&self) {
        self.arrived.notified().await;
    }

    pub(crate) fn take_notices(&self) -> Vec<DbError> {
        let mut kept = self.kept();
        kept.notice_texts = 0;
        mem::take(&mut kept.notices).into()
    }

    /// Throws away what one user left, before the next.
    pub(crate) fn clear(&self) {
        let mut kept = self.kept();
        if kept.notifications.is_empty() && kept.notices.is_empty() && kept.lost == 0 {
            return;
        }
        let has_ended = kept.has_ended;
        let old = mem::take(&mut *kept);
        kept.has_ended = has_ended;
        drop(kept);
        drop(old);
    }

    /// Nothing that can panic runs under the lock, so a poisoned one still guards sound mail.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes of a notice's texts.
fn texts(notice: &DbError) -> usize {
    let others = [notice.detail(), notice.hint(), notice.where_()];
    let others = others.into_iter().flatten().map(str::len).sum::<usize>();
    notice.message().len() + others
}

fn size(notification: &Notification) -> usize {
    OVERHEAD + notification.channel().len() + notification.payload().len()
}
