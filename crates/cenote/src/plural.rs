//! Numbers of things as people read them: `1 lease`, `2 leases`.

use std::fmt;

/// So many of what `one` names, whose plural ends in `s`.
pub(crate) fn plural<N>(number: N, one: &'static str) -> impl fmt::Display
where
    N: fmt::Display + PartialEq + From<u8>,
{
    Plural { number, one }
}

struct Plural<N> {
    number: N,
    one: &'static str,
}

impl<N: fmt::Display + PartialEq + From<u8>> fmt::Display for Plural<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, one } = self;
        let s = if *number == N::from(1) { "" } else { "s" };
        write!(f, "{number} {one}{s}")
    }
}

#[cfg(all(test, not(any(cenote_loom, cenote_shuttle))))]
mod tests {
    use super::plural;

    #[test]
    fn one_alone_is_singular() {
        let texts = [0_usize, 1, 2].map(|number| plural(number, "lease").to_string());
        assert_eq!(texts, ["0 leases", "1 lease", "2 leases"]);
    }
}
