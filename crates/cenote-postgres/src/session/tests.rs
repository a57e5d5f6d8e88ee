use super::*;

fn session() -> Session {
    Session::new(Judge::default(), Peer::Server, Patience::default())
}

fn after(use_it: impl FnOnce(&Session)) -> (Verdict, Verdict) {
    let session = session();
    use_it(&session);
    (
        session.verdict(ResetMode::Fast),
        session.verdict(ResetMode::Full),
    )
}

#[test]
fn an_unused_session_is_reused() {
    assert_eq!(after(|_| ()), (Verdict::Reuse, Verdict::Reuse));
}

#[test]
fn a_completed_plain_call_is_reset_in_full_mode_only() {
    let verdicts = after(|session| session.begin(Traces::None).complete());
    assert_eq!(verdicts, (Verdict::Reuse, Verdict::Reset));
}

#[test]
fn a_call_under_way_means_reset() {
    let verdicts = after(|session| std::mem::forget(session.begin(Traces::None)));
    assert_eq!(verdicts, (Verdict::Reset, Verdict::Reset));
}

#[test]
fn a_dropped_call_means_reset() {
    let verdicts = after(|session| drop(session.begin(Traces::None)));
    assert_eq!(verdicts, (Verdict::Reset, Verdict::Reset));
}

#[test]
fn traces_mean_reset_even_when_completed() {
    for traces in [Traces::State, Traces::Anything, Traces::Transaction] {
        let verdicts = after(|session| session.begin(traces).complete());
        assert_eq!(verdicts, (Verdict::Reset, Verdict::Reset));
    }
}

#[test]
fn behind_a_pooler_only_what_may_still_be_open_means_reset() {
    let after = |traces| {
        let session = Session::new(
            Judge::default(),
            Peer::TransactionPooler,
            Patience::default(),
        );
        session.begin(traces).complete();
        session.verdict(ResetMode::Full)
    };
    assert_eq!(after(Traces::Anything), Verdict::Reuse);
    assert_eq!(after(Traces::Transaction), Verdict::Reset);
}

#[test]
fn what_no_reset_undoes_means_close() {
    let verdicts = after(|session| session.begin(Traces::Lasting).complete());
    assert_eq!(verdicts, (Verdict::Close, Verdict::Close));
}

#[test]
fn a_renewed_session_is_as_at_first() {
    let verdicts = after(|session| {
        std::mem::forget(session.begin_text(Traces::Anything, "SET search_path = a"));
        session.opened_up();
        session.renew();
    });
    assert_eq!(verdicts, (Verdict::Reuse, Verdict::Reuse));
}

fn names_after(statements: &[&str]) -> Names {
    let session = session();
    for sql in statements {
        let traces = session.judge().of_statement(sql);
        session.begin_text(traces, sql).complete();
    }
    session.names()
}

#[test]
fn the_same_statements_make_names_resolve_the_same_way() {
    let tenant = names_after(&["SET search_path = tenant_a"]);
    assert_eq!(
        tenant,
        names_after(&["SELECT 1", "SET search_path = tenant_a"])
    );
    assert_ne!(tenant, names_after(&["SET search_path = tenant_b"]));
    assert_ne!(tenant, Names::default());
    assert_eq!(
        names_after(&["SET work_mem = '1MB'", "SELECT 1"]),
        Names::default()
    );
}

#[test]
fn a_parameter_may_make_names_resolve_in_any_way() {
    let set = ["SELECT set_config('search_path', $1, false)"];
    assert_ne!(names_after(&set), names_after(&set));
}

#[test]
fn a_rolled_back_transaction_gives_the_names_back() {
    let session = session();
    let before = session.names();
    session
        .begin_text(Traces::Anything, "SET search_path = a")
        .complete();
    let within = session.names();
    session.names_committed(before);
    assert!(![before, within].contains(&session.names()));
    session.names_rolled_back(before);
    assert_eq!(session.names(), before);
}
