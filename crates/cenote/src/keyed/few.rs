//! A list of what is nearly always one, which takes no memory of its own then.

/// What is nearly always one.
pub(super) struct Few<T> {
    first: Option<T>,
    others: Vec<T>,
}

impl<T> Few<T> {
    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.others)
    }

    pub(super) fn push(&mut self, one: T) {
        match self.first {
            None => self.first = Some(one),
            Some(_) => self.others.push(one),
        }
    }

    pub(super) fn remove(&mut self, is_it: impl Fn(&T) -> bool) -> Option<T> {
        match self.first.take_if(|first| is_it(first)) {
            Some(first) => {
                self.first = self.others.pop();
                Some(first)
            }
            None => {
                let place = self.others.iter().position(is_it)?;
                Some(self.others.swap_remove(place))
            }
        }
    }

    pub(super) fn find(self, is_it: impl Fn(&T) -> bool) -> Option<T> {
        self.into_iter().find(is_it)
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self {
            first: None,
            others: Vec::new(),
        }
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut all = all.into_iter();
        Self {
            first: all.next(),
            others: all.collect(),
        }
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = std::iter::Chain<std::option::IntoIter<T>, std::vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.others)
    }
}
