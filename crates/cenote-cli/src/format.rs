//! Numbers as people read them: thousands apart, three digits that matter, units.

use std::time::Duration;

/// `1234567` as `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate or a ratio: three digits that matter, or whole with thousands apart.
pub fn amount(number: f64) -> String {
    if number.abs() >= 100.0 {
        count(number.round().max(0.0) as u64)
    } else {
        three_digits(number)
    }
}

/// `8.61 ms`, `310 ms`, `1.25 s`.
pub fn duration(duration: Duration) -> String {
    seconds(duration.as_secs_f64())
}

/// As [`duration`], of seconds.
pub fn seconds(seconds: f64) -> String {
    // At 0.9995 of the next unit, three digits would round up to it.
    for (unit, factor) in [("ns", 1e9), ("µs", 1e6), ("ms", 1e3)] {
        let value = seconds * factor;
        if value < 999.5 {
            return format!("{} {unit}", three_digits(value));
        }
    }
    format!("{} s", three_digits(seconds))
}

/// `64 bytes`, `4 KiB`.
pub fn bytes(bytes: usize) -> String {
    const KIB: usize = 1024;
    const MIB: usize = KIB * KIB;
    match bytes {
        1 => "1 byte".into(),
        bytes if bytes >= MIB && bytes.is_multiple_of(MIB) => format!("{} MiB", bytes / MIB),
        bytes if bytes >= KIB && bytes.is_multiple_of(KIB) => format!("{} KiB", bytes / KIB),
        bytes => format!("{} bytes", count(bytes as u64)),
    }
}

/// `1 error`, `2 errors`.
pub fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// `text` in lines of at most `width` characters, broken between words; longer words stand alone.
pub fn wrapped(text: &str, width: usize) -> String {
    let mut wrapped = String::with_capacity(text.len());
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            wrapped.push('\n');
            used = 0;
        } else if used > 0 {
            wrapped.push(' ');
            used += 1;
        }
        wrapped.push_str(word);
        used += length;
    }
    wrapped
}

fn three_digits(value: f64) -> String {
    let decimals = match value.abs() {
        v if v < f64::EPSILON => 0,
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(
            [count(0), count(999), count(1000), count(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
    }

    #[test]
    fn durations_keep_three_digits_and_change_unit_in_time() {
        assert_eq!(seconds(0.000_000_842), "842 ns");
        assert_eq!(seconds(0.000_999_96), "1 ms");
        assert_eq!(seconds(0.008_614), "8.61 ms");
        assert_eq!(seconds(0.099_96), "100 ms");
        assert_eq!(seconds(61.2), "61.2 s");
        assert_eq!(seconds(0.0), "0 ns");
    }

    #[test]
    fn amounts_keep_what_matters() {
        assert_eq!(
            [amount(38.04), amount(1.5), amount(123_456.7)],
            ["38", "1.5", "123,457"]
        );
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(
            wrapped("the pool was worth it", 8),
            "the pool\nwas\nworth it"
        );
        assert_eq!(
            wrapped("postgres://somewhere is far", 6),
            "postgres://somewhere\nis far"
        );
        assert_eq!(wrapped("short", 80), "short");
    }

    #[test]
    fn bytes_take_the_largest_whole_unit() {
        assert_eq!(
            [
                bytes(1),
                bytes(64),
                bytes(4096),
                bytes(1 << 20),
                bytes(1500)
            ],
            ["1 byte", "64 bytes", "4 KiB", "1 MiB", "1,500 bytes"]
        );
    }
}
