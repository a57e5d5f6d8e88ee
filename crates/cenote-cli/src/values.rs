//! Values of options as people type them: durations, sizes in bytes, sets of pool sizes. Each parser
//! refuses what cannot work and says what can, without repeating what was typed.

use std::time::Duration;

use humantime::DurationError;

use crate::format;

/// The largest pool that can be asked for: more connections than one client address has ports.
const MAX_POOL: u32 = 65_535;

const MAX_USERS: u32 = 100_000;
/// Each is a port and a task in this process.
const MAX_SERVERS: u32 = 1_000;
const MAX_REQUEST: usize = 16 * 1024 * 1024;
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// Pool sizes to try, ascending, without repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes(pub Vec<u32>);

pub fn duration(text: &str) -> Result<Duration, String> {
    const ACCEPTED: &str = "write a number and a unit, such as 5s, 500ms or 1m";
    let duration = humantime::parse_duration(text.trim()).map_err(|error| match error {
        DurationError::NumberExpected(_)
        | DurationError::InvalidCharacter(_)
        | DurationError::UnknownUnit { .. } => ACCEPTED.into(),
        error => format!("{error}; {ACCEPTED}"),
    })?;
    if duration > MAX_DURATION {
        return Err("it is more than a day; at most 24h is accepted".into());
    }
    Ok(duration)
}

pub fn positive_duration(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration < Duration::from_millis(1) {
        return Err("it must be at least 1ms, such as 5s, 500ms or 1m".into());
    }
    Ok(duration)
}

pub fn users(text: &str) -> Result<u32, String> {
    within(text, MAX_USERS)
}

pub fn pool_size(text: &str) -> Result<u32, String> {
    within(text, MAX_POOL)
}

pub fn servers(text: &str) -> Result<u32, String> {
    within(text, MAX_SERVERS)
}

pub fn seed(text: &str) -> Result<u64, String> {
    let seed = text.trim().parse();
    seed.map_err(|_| "it must be a whole number, such as the one that a run has shown".into())
}

fn within(text: &str, most: u32) -> Result<u32, String> {
    match text.trim().parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => {
            let most = format::count(most.into());
            Err(format!("it must be a whole number from 1 to {most}"))
        }
    }
}

pub fn request_size(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1024,
        "kb" => 1000,
        "m" | "mib" => 1024 * 1024,
        "mb" => 1_000_000,
        unit if number.is_empty() || unit.starts_with(['.', ',']) => {
            return Err("write a whole number and a unit, such as 64, 4KiB or 1MiB".into());
        }
        _ => {
            return Err("unknown unit; up to 16MiB is accepted, such as 64, 4KiB or 1MiB".into());
        }
    };
    let number: usize = number
        .parse()
        .map_err(|_| "write a whole number of bytes, up to 16MiB".to_owned())?;
    match number.checked_mul(factor) {
        Some(bytes) if (1..=MAX_REQUEST).contains(&bytes) => Ok(bytes),
        _ => Err("it must be from 1 byte to 16MiB".into()),
    }
}

/// `1..64`: the ends and the powers of two between them. `5,10,20`: these.
pub fn sizes(text: &str) -> Result<Sizes, String> {
    let text = text.trim();
    let Some((first, last)) = text.split_once("..") else {
        let mut sizes = text
            .split(',')
            .map(one_size)
            .collect::<Result<Vec<_>, _>>()?;
        sizes.sort_unstable();
        sizes.dedup();
        return Ok(Sizes(sizes));
    };
    let first = one_size(first)?;
    let last = one_size(last.strip_prefix('=').unwrap_or(last))?;
    if first > last {
        return Err(format!(
            "{first} is more than {last}; write the smaller size first, such as 1..64"
        ));
    }
    let between = (0..u32::BITS)
        .map(|bit| 1 << bit)
        .filter(|size| first < *size && *size < last);
    let mut sizes = vec![first];
    sizes.extend(between);
    if last > first {
        sizes.push(last);
    }
    Ok(Sizes(sizes))
}

fn one_size(text: &str) -> Result<u32, String> {
    pool_size(text).map_err(|error| {
        let what = match text.trim() {
            "" => "a pool size is missing",
            _ => "a part of it is no pool size",
        };
        format!("{what}, {error}; write a range such as 1..64 or a list such as 5,10,20")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_tries_the_ends_and_the_powers_of_two_between() {
        assert_eq!(sizes("1..64"), Ok(Sizes(vec![1, 2, 4, 8, 16, 32, 64])));
        assert_eq!(sizes("3..=20"), Ok(Sizes(vec![3, 4, 8, 16, 20])));
        assert_eq!(sizes("7..7"), Ok(Sizes(vec![7])));
    }

    #[test]
    fn a_sweep_over_a_list_is_sorted_and_has_no_repeats() {
        assert_eq!(sizes("20,5, 10,5"), Ok(Sizes(vec![5, 10, 20])));
    }

    #[test]
    fn a_sweep_that_names_no_pool_is_refused() {
        for bad in [
            "", "0..4", "4..", "..4", "64..1", "a..b", "1,,2", "1..70000", "-1..4",
        ] {
            assert!(sizes(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn sizes_in_bytes_take_units() {
        assert_eq!(request_size("64"), Ok(64));
        assert_eq!(request_size("4KiB"), Ok(4096));
        assert_eq!(request_size("2 kB"), Ok(2000));
        assert_eq!(request_size("1m"), Ok(1024 * 1024));
    }

    #[test]
    fn sizes_that_cannot_be_sent_are_refused() {
        for bad in ["", "0", "-1", "4XB", "KiB", "17MiB", "99999999999999999999"] {
            assert!(request_size(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_run_takes_time() {
        assert!(positive_duration("0s").is_err());
        assert!(positive_duration("5").is_err());
        assert_eq!(positive_duration("1m 30s"), Ok(Duration::from_secs(90)));
    }
}
