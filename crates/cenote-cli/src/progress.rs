//! The display while a run lasts. On anything but a terminal it shows nothing.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::format;
use crate::measure::Sample;
use crate::output::Screen;

/// One run's line on the terminal; gone when dropped.
pub struct Progress {
    bar: ProgressBar,
}

const TEMPLATE: &str = "{prefix:>14}  {bar:20}  {wide_msg}";
/// What happens is worth more than a bar.
const NARROW_TEMPLATE: &str = "{prefix}  {wide_msg}";
/// Columns that the bar and a message need.
const WIDE: usize = 90;

impl Progress {
    /// `step` of `steps`: which run this is.
    pub fn new(name: &str, step: usize, steps: usize, duration: Duration) -> Self {
        // indicatif draws on stderr only if that is a terminal.
        let bar = ProgressBar::with_draw_target(
            Some(duration.as_millis() as u64),
            ProgressDrawTarget::stderr(),
        );
        let narrow = Screen::StandardError
            .width()
            .is_some_and(|width| width < WIDE);
        let template = if narrow { NARROW_TEMPLATE } else { TEMPLATE };
        let style = ProgressStyle::with_template(template).expect("a constant template is valid");
        bar.set_style(style.progress_chars("━╸─"));
        let prefix = if steps > 1 {
            format!("{name} {step}/{steps}")
        } else {
            name.to_owned()
        };
        bar.set_prefix(prefix);
        Self { bar }
    }

    /// Shows `now`, and the rate since `before`.
    pub fn show(&self, before: &Sample, now: &Sample) {
        let requests = now.requests - before.requests;
        let rate = requests as f64 / (now.at_s - before.at_s).max(f64::EPSILON);
        let mut text = format!(
            "{} req/s  in use {}  waiting {}",
            format::amount(rate),
            now.gauges.leased,
            format::count(now.gauges.waiters as u64)
        );
        if now.failed > 0 {
            text.push_str(&format!("  failed {}", format::count(now.failed)));
        }
        self.bar.set_position((now.at_s * 1000.0) as u64);
        self.bar.set_message(text);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
