//! What the calls of a connection accept: SQL text or a statement prepared before.

use crate::statements::Statement;

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
    use tokio_postgres::ToStatement;

    use crate::statements::Statement;
    use crate::traces::{self, Traces};

    pub trait Sealed: Sync {
        type Raw: ?Sized + ToStatement + Sync;
        fn raw(&self) -> &Self::Raw;
        /// Text, which takes a single round trip when it has no parameters whose types must be asked for.
        fn text(&self) -> Option<&str> {
            None
        }
        fn traces(&self) -> Traces;
    }

    impl Sealed for str {
        type Raw = str;
        fn raw(&self) -> &str {
            self
        }
        fn text(&self) -> Option<&str> {
            Some(self)
        }
        fn traces(&self) -> Traces {
            traces::of_statement(self)
        }
    }

    impl Sealed for String {
        type Raw = str;
        fn raw(&self) -> &str {
            self
        }
        fn text(&self) -> Option<&str> {
            Some(self)
        }
        fn traces(&self) -> Traces {
            traces::of_statement(self)
        }
    }

    impl Sealed for Statement {
        type Raw = tokio_postgres::Statement;
        fn raw(&self) -> &tokio_postgres::Statement {
            self.prepared()
        }
        fn traces(&self) -> Traces {
            Statement::traces(self)
        }
    }

    impl Sealed for tokio_postgres::Statement {
        type Raw = Self;
        fn raw(&self) -> &Self {
            self
        }
        fn traces(&self) -> Traces {
            Traces::Anything
        }
    }
}
