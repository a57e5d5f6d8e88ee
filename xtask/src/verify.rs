//! The proof, repeated at greater length than `test` takes: the same models, sweeps and simulations, with
//! more seeds and more cases; and the whole table of situations, timed, of which `test` plays some.

use crate::invocation::{Invocation, Proof};
use crate::part::{Part, Work};

/// The cells of the table of situations: twelve by six, for two databases and two kinds of pool.
const CELLS: u64 = 12 * 6 * 2 * 2;

/// How long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Some minutes.
    Bounded,
    /// Hours.
    Long,
}

impl Effort {
    fn of<T>(self, bounded: T, long: T) -> T {
        match self {
            Self::Bounded => bounded,
            Self::Long => long,
        }
    }
}

/// Every proof: what it is, and how it is run.
pub fn proofs(effort: Effort) -> Vec<(&'static str, Invocation)> {
    let mut proofs = Vec::new();
    let mut models = |part: Part, what, depth, of| {
        if let Work::Run(models) = part.work() {
            let deeper = |model: Invocation| (what, model.variable(depth, of));
            proofs.extend(models.into_iter().map(deeper));
        }
    };
    models(
        Part::Loom,
        "the models of the kernel, the mux and the lease word, under loom",
        "LOOM_MAX_PREEMPTIONS",
        effort.of(3, 4),
    );
    models(
        Part::Shuttle,
        "the pools' models, under shuttle",
        "CENOTE_SCHEDULES",
        effort.of(20_000, 1_000_000),
    );
    let tests = |package: &'static str, binaries: &[&'static str]| {
        let invocation = Invocation::cargo(["test", "--release", "-p", package]);
        binaries
            .iter()
            .fold(invocation, |invocation, binary| {
                invocation.args(["--test", binary])
            })
            .proof(Proof::TestsRan)
    };
    // One module at a time: of several names one that is no module's would go unnoticed.
    let proof = |module| tests("cenote", &["proof"]).args(["--", module]);
    proofs.extend([
        (
            "the simulator, seed after seed",
            proof("simulation::").variable("CENOTE_SEEDS", effort.of(1_000, 100_000)),
        ),
        (
            "random operations against the reference model",
            proof("reference_model::")
                .variable("PROPTEST_CASES", effort.of(3_000, 300_000))
                .variable("PROPTEST_RNG_SEED", "random"),
        ),
        ("get cancelled at every poll", proof("cancel_sweep::")),
        ("every hook and holder panics", proof("panics::")),
        ("many users on many threads", proof("contention::")),
        (
            "PostgreSQL cancelled at every poll, killed, frozen, behind a faulty wire",
            tests(
                "cenote-postgres",
                &[
                    "cancelled_calls",
                    "server_killed",
                    "server_stopped",
                    "wire_faults",
                ],
            ),
        ),
        (
            "what is published of pools over several servers, simulated at full length",
            tests("cenote-simulation", &["scenarios"]).args([
                "--",
                "--ignored",
                "every_figure_holds_at_full_length",
            ]),
        ),
        (
            "PostgreSQL switched over under 200 writers, timed",
            tests("cenote-postgres", &["cluster"])
                .args(["--", "--ignored", "--nocapture", "switchover::"])
                .variable("CENOTE_SWITCHOVERS", effort.of(9, 300)),
        ),
        (
            "Redis cancelled at every poll, killed, frozen, behind a faulty wire",
            tests(
                "cenote-redis",
                &[
                    "pooled_cancellation",
                    "server_faults",
                    "hostile_peer",
                    "wire_faults",
                ],
            ),
        ),
        (
            "Redis failed over by sentinels under 50 writers, timed",
            tests("cenote-redis", &["sentinel_failover"])
                .args(["--", "--ignored", "--nocapture", "service_is_back"])
                .variable("CENOTE_FAILOVERS", effort.of(9, 300)),
        ),
        (
            "every situation in every state of a connection, timed",
            Invocation::cargo(["run", "--release", "-p", "cenote-situations", "--"])
                .args(["--repeat", effort.of("1", "20")])
                .proof(Proof::CellsHeld(CELLS)),
        ),
        (
            "rivals beside us",
            Invocation::cargo(["test", "--manifest-path", "bench/Cargo.toml"])
                .args(["--test", "rivals", "--locked"])
                .proof(Proof::TestsRan),
        ),
    ]);
    proofs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_proof_must_have_run_a_test_or_told_of_every_cell() {
        for (what, invocation) in proofs(Effort::Bounded) {
            let asked = [Proof::TestsRan, Proof::CellsHeld(288)];
            assert!(
                asked.iter().any(|proof| invocation.asks_for(*proof)),
                "{what}"
            );
        }
    }

    #[test]
    fn the_long_way_runs_the_same_with_more_of_it() {
        let (bounded, long) = (proofs(Effort::Bounded), proofs(Effort::Long));
        assert_eq!(bounded.len(), long.len());
        assert!(
            long.iter()
                .any(|(_, run)| run.to_string().contains("CENOTE_SEEDS=100000"))
        );
    }
}
