//! Random scripts that are the same in every run. `PROPTEST_CASES=100000` runs more of them, `PROPTEST_RNG_SEED=7` others,
//! `PROPTEST_RNG_SEED=random` others each time.

use proptest::test_runner::{Config, RngSeed, TestRunner};

/// Runs 512 scripts, those of this seed, unless the environment says otherwise.
pub fn runner(seed: u64) -> TestRunner {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 512;
    }
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(seed);
    }
    TestRunner::new(config)
}
