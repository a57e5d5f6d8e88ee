//! A lane's free tags, for its callers to use without the admission's lock.
//!
//! Invariant: a frozen cache is empty, and all tags go through the admission. Caches are frozen while a caller waits
//! for a tag, while tags are withheld, and when no new calls are taken. Lives under its lane's lock.

#[derive(Default)]
pub(super) struct TagCache {
    tags: Vec<u32>,
    is_frozen: bool,
}

/// The cache takes no tag.
pub(super) struct Frozen;

impl TagCache {
    pub(super) fn len(&self) -> usize {
        self.tags.len()
    }

    /// A free tag, if there is one.
    pub(super) fn take(&mut self) -> Option<u32> {
        self.tags.pop()
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    /// Puts a free tag in, to be used next, since its entry is warm in this thread's processor.
    #[must_use = "what a frozen cache does not take is the admission's"]
    pub(super) fn put(&mut self, tag: u32) -> Result<(), Frozen> {
        if self.is_frozen {
            return Err(Frozen);
        }
        self.tags.push(tag);
        Ok(())
    }

    pub(super) fn refill(&mut self, tags: impl Iterator<Item = u32>) {
        debug_assert!(!self.is_frozen);
        self.tags.extend(tags);
    }

    /// Freezes the cache and puts its tags into `into`.
    pub(super) fn freeze(&mut self, into: &mut Vec<u32>) {
        self.is_frozen = true;
        into.append(&mut self.tags);
    }

    pub(super) fn thaw(&mut self) {
        self.is_frozen = false;
    }
}
