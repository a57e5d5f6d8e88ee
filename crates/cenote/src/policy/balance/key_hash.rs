//! From a key to 64 bits, the same in every process: clients that know the same endpoints send a key to the same one.
//! The hasher of the standard library promises that to nobody (it is keyed anew in each map, and may change).
//!
//! Who chooses keys can choose many for one endpoint; the bound on load is against that, not the hash.

use std::hash::{Hash, Hasher};

/// 2^64 divided by the golden ratio, the step of SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
/// Generators", 2014): multiples of it lie evenly apart.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes 64 bits so that each depends on all: the end of SplitMix64, whose constants are the 13th of D. Stafford's
/// variants on that of MurmurHash3 ("Better Bit Mixing", 2011). No two numbers give the same one.
pub(super) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The `index`-th of the numbers that belong to `hash`.
pub(super) fn nth(hash: u64, index: u64) -> u64 {
    mix(mix(hash).wrapping_add(STEP.wrapping_mul(index + 1)))
}

/// The hash of a key.
pub(crate) fn hash_of(key: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = KeyHasher(0);
    key.hash(&mut hasher);
    hasher.finish()
}

struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        // With the length, or bytes that are 0 at the end would count as if they were not there.
        self.0 = mix(self.0.wrapping_add(STEP) ^ bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = mix(self.0 ^ u64::from_le_bytes(word));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_hash_of_a_key_is_the_same_in_every_process() {
        assert_eq!(hash_of("db1:5432"), 2_957_531_829_211_382_687);
    }

    /// The first numbers of SplitMix64 with seed 1234567, as its other implementations give them.
    #[test]
    fn numbers_are_mixed_as_splitmix64_mixes_them() {
        let numbers = [1, 2, 3].map(|n| mix(STEP.wrapping_mul(n).wrapping_add(1_234_567)));
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn keys_that_resemble_each_other_have_different_hashes() {
        let mut keys: Vec<String> = (0..100_000).map(|i| format!("10.0.0.{i}:80")).collect();
        keys.extend(["", "\0", "\0\0", "a", "a\0", "aaaaaaaa", "aaaaaaaa\0"].map(String::from));
        let hashes: BTreeSet<_> = keys.iter().map(|key| hash_of(key.as_str())).collect();
        assert_eq!(hashes.len(), keys.len());
    }

    #[test]
    fn each_bit_that_changes_changes_every_other_with_even_odds() {
        let mut changes = [[0_u32; 64]; 64];
        for number in 0..1_000 {
            for (bit, changed) in changes.iter_mut().enumerate() {
                let difference = mix(number) ^ mix(number ^ (1 << bit));
                for (other, count) in changed.iter_mut().enumerate() {
                    *count += (difference >> other) as u32 & 1;
                }
            }
        }
        // Six sigma, for there are 4,096 counts.
        let off = changes.iter().flatten().map(|n| n.abs_diff(500)).max();
        assert!(off <= Some(95), "{off:?}");
    }

    #[test]
    fn numbers_in_a_row_are_spread_evenly() {
        for step in [1, 8, 1 << 32, STEP] {
            let mut counts = [0_u32; 64];
            for i in 0..64_000_u64 {
                counts[(mix(i.wrapping_mul(step)) >> 58) as usize] += 1;
            }
            // Four sigma of a share of one 64th.
            let off = counts.iter().map(|n| n.abs_diff(1_000)).max();
            assert!(off <= Some(126), "step {step}: {off:?}");
        }
    }
}
