//! What the calls of a connection accept: SQL text or a statement prepared before.

use crate::statement::Statement;

/// SQL text (`str`, `String`) or a statement prepared before ([`Statement`],
/// [`tokio_postgres::Statement`]).
///
/// Text is judged for what it may leave in the session; a statement of [`tokio_postgres`] itself has lost
/// its text and therefore always means a reset at return. Implemented by this crate only.
pub trait Sql: sealed::Sealed {}

impl Sql for str {}
impl Sql for String {}
impl Sql for Statement {}
impl Sql for tokio_postgres::Statement {}

pub(crate) mod sealed {
    use crate::statement::Statement;

    /// What is to be run.
    #[derive(Debug)]
    pub enum What<'a> {
        /// Text, which takes a single round trip when it has no parameters whose types must be asked for.
        Text(&'a str),
        /// A statement of this crate.
        Statement(&'a Statement),
        /// A statement of the driver's own.
        Driver(&'a tokio_postgres::Statement),
    }

    pub trait Sealed: Sync {
        fn what(&self) -> What<'_>;
    }

    impl Sealed for str {
        fn what(&self) -> What<'_> {
            What::Text(self)
        }
    }

    impl Sealed for String {
        fn what(&self) -> What<'_> {
            What::Text(self)
        }
    }

    impl Sealed for Statement {
        fn what(&self) -> What<'_> {
            What::Statement(self)
        }
    }

    impl Sealed for tokio_postgres::Statement {
        fn what(&self) -> What<'_> {
            What::Driver(self)
        }
    }
}
