//! From values to places on an axis, and which values to mark there.

/// How an axis stretches values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// From 0 to `max` evenly, marked at each `step`.
    Linear { max: f64, step: f64 },
    /// Each factor of ten takes the same room; both ends are positive.
    Decades { min: f64, max: f64 },
    /// Each factor of two takes the same room; both ends are positive.
    Doublings { min: f64, max: f64 },
    /// Quantiles from 0: each nine of `0.9`, `0.99`, ... takes the same room, up to so many.
    Nines { nines: f64 },
}

impl Scale {
    /// From 0 to a round number that is at least `max`, for things counted in whole numbers.
    pub fn from_zero(max: f64) -> Self {
        let max = max.max(1.0);
        let step = round_step(max).max(1.0);
        Self::Linear {
            max: (max / step).ceil() * step,
            step,
        }
    }

    /// From 0 to exactly `max`, for what can be divided.
    pub fn up_to(max: f64) -> Self {
        Self::Linear {
            max,
            step: round_step(max),
        }
    }

    /// From 1, 2 or 5 times a power of ten to another, around `min` and `max`.
    pub fn decades(min: f64, max: f64) -> Self {
        let floor = |value: f64| {
            let decade = 10f64.powf(value.log10().floor());
            [5.0, 2.0, 1.0]
                .into_iter()
                .map(|m| m * decade)
                .find(|low| *low <= value)
                .unwrap_or(decade)
        };
        let ceil = |value: f64| {
            let decade = 10f64.powf(value.log10().floor());
            [1.0, 2.0, 5.0]
                .into_iter()
                .map(|m| m * decade)
                .find(|high| *high >= value)
                .unwrap_or(decade * 10.0)
        };
        let (min, max) = (floor(min), ceil(max));
        Self::Decades {
            min,
            max: if max > min { max } else { min * 10.0 },
        }
    }

    /// Whether each factor takes the same room.
    pub fn is_logarithmic(self) -> bool {
        matches!(self, Self::Decades { .. } | Self::Doublings { .. })
    }

    /// Where `value` is: 0 at the axis' begin, 1 at its end.
    pub fn place(self, value: f64) -> f64 {
        let place = match self {
            Self::Linear { max, .. } => value / max,
            Self::Decades { min, max } | Self::Doublings { min, max } => {
                if min == max {
                    0.5
                } else {
                    (value.max(min) / min).log2() / (max / min).log2()
                }
            }
            Self::Nines { nines } => nines_of(value) / nines,
        };
        place.clamp(0.0, 1.0)
    }

    /// Values to mark, from begin to end.
    pub fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear { max, step } => (0..)
                .map(|n| f64::from(n) * step)
                .take_while(|tick| *tick <= max * (1.0 + 1e-9))
                .collect(),
            Self::Decades { min, max } => decade_ticks(min, max),
            Self::Doublings { min, max } => {
                let between = (0..63).map(|bit| (1u64 << bit) as f64);
                let mut ticks: Vec<f64> =
                    between.filter(|tick| (min..=max).contains(tick)).collect();
                if ticks.is_empty() {
                    ticks.push(min);
                }
                ticks
            }
            Self::Nines { nines } => [0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999]
                .into_iter()
                .filter(|tick| nines_of(*tick) <= nines + 1e-9)
                .collect(),
        }
    }
}

/// How many nines a quantile has: 0.99 has two.
fn nines_of(quantile: f64) -> f64 {
    if quantile >= 1.0 {
        f64::INFINITY
    } else {
        -(1.0 - quantile).log10()
    }
}

/// 1, 2 or 5 times a power of ten that divides `range` into three to six parts.
fn round_step(range: f64) -> f64 {
    let rough = range / 5.5;
    let decade = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * decade)
        .find(|step| *step >= rough);
    step.unwrap_or(rough)
}

/// Powers of ten, with 2 and 5 times them where that leaves few enough.
fn decade_ticks(min: f64, max: f64) -> Vec<f64> {
    const MOST: usize = 7;
    let within = |multiples: &[f64]| -> Vec<f64> {
        let decades = (min.log10().floor() as i32)..=(max.log10().ceil() as i32);
        let all =
            decades.flat_map(|exponent| multiples.iter().map(move |m| m * 10f64.powi(exponent)));
        all.filter(|tick| (min * 0.999..=max * 1.001).contains(tick))
            .collect()
    };
    let fine = within(&[1.0, 2.0, 5.0]);
    if fine.len() <= MOST {
        fine
    } else {
        within(&[1.0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_axis_ends_on_a_round_number() {
        let scale = Scale::from_zero(1143.0);
        assert_eq!(
            scale,
            Scale::Linear {
                max: 1500.0,
                step: 500.0
            }
        );
        assert_eq!(scale.ticks(), [0.0, 500.0, 1000.0, 1500.0]);
    }

    #[test]
    fn connections_are_counted_in_whole_numbers() {
        assert_eq!(Scale::from_zero(1.0).ticks(), [0.0, 1.0]);
        assert_eq!(
            Scale::from_zero(10.0).ticks(),
            [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
        );
        assert_eq!(Scale::from_zero(3.0).ticks(), [0.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn time_is_divided_and_ends_when_the_run_does() {
        assert_eq!(Scale::up_to(2.1).ticks(), [0.0, 0.5, 1.0, 1.5, 2.0]);
    }

    #[test]
    fn nothing_at_all_still_has_an_axis() {
        assert_eq!(Scale::from_zero(0.0).ticks(), [0.0, 1.0]);
    }

    #[test]
    fn each_nine_takes_the_same_room() {
        let scale = Scale::Nines { nines: 4.0 };
        let place = |quantile| (scale.place(quantile) * 1000.0).round() / 1000.0;
        assert_eq!(
            [place(0.0), place(0.9), place(0.99), place(0.9999)],
            [0.0, 0.25, 0.5, 1.0]
        );
    }

    #[test]
    fn a_wide_logarithmic_axis_marks_powers_of_ten_only() {
        assert_eq!(Scale::decades(0.000_3, 4.0).ticks().len(), 4);
        assert_eq!(Scale::decades(0.011, 0.4).ticks().len(), 6);
    }

    #[test]
    fn a_sweep_axis_marks_powers_of_two() {
        assert_eq!(
            Scale::Doublings {
                min: 1.0,
                max: 20.0
            }
            .ticks(),
            [1.0, 2.0, 4.0, 8.0, 16.0]
        );
        assert_eq!(Scale::Doublings { min: 5.0, max: 5.0 }.ticks(), [5.0]);
        assert_eq!(Scale::Doublings { min: 5.0, max: 5.0 }.place(5.0), 0.5);
    }
}
