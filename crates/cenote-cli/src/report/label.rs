//! The names of lines on a chart: how much room each takes, and how they keep apart. All lengths are in
//! pixels of the drawing.

/// Names closer than this would touch.
pub const LINE_HEIGHT: f64 = 15.0;

/// The name of a line, and where it goes.
pub struct Label<'a> {
    pub x: f64,
    /// Its middle.
    pub y: f64,
    /// Which end of the text is at `x`: `start` or `end`.
    pub anchor: &'static str,
    pub text: &'a str,
    /// The class that colours it.
    pub class: &'static str,
}

impl Label<'_> {
    /// From where to where it goes, about.
    pub fn span(&self) -> (f64, f64) {
        let width = width_of(self.text);
        match self.anchor {
            "end" => (self.x - width, self.x),
            _ => (self.x, self.x + width),
        }
    }

    fn is_in_column_of(&self, other: &Self) -> bool {
        let ((left, right), (other_left, other_right)) = (self.span(), other.span());
        left < other_right && other_left < right
    }
}

/// How wide a text is, about.
pub fn width_of(text: &str) -> f64 {
    const LETTER: f64 = 7.0;
    text.chars().count() as f64 * LETTER
}

/// Pushes labels apart that would touch, down and then up again, none below `lowest`. They are sorted from
/// top to bottom.
pub fn spread(labels: &mut [Label<'_>], lowest: f64) {
    for index in 1..labels.len() {
        if labels[index].is_in_column_of(&labels[index - 1]) {
            labels[index].y = labels[index].y.max(labels[index - 1].y + LINE_HEIGHT);
        }
    }
    for index in (0..labels.len()).rev() {
        let limit = match labels.get(index + 1) {
            Some(below) if below.is_in_column_of(&labels[index]) => below.y - LINE_HEIGHT,
            _ => lowest,
        };
        labels[index].y = labels[index].y.min(limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOWEST: f64 = 200.0;

    /// Where labels go that begin at these places, on an axis just below the lowest of theirs.
    fn spread_at(places: [f64; 2]) -> [f64; 2] {
        let mut labels = places.map(|x| Label {
            x,
            y: LOWEST + 5.0,
            anchor: "start",
            text: "a name",
            class: "",
        });
        spread(&mut labels, LOWEST);
        labels.map(|label| label.y)
    }

    #[test]
    fn names_stay_above_the_axis_and_apart() {
        assert_eq!(spread_at([0.0, 0.0]), [LOWEST - LINE_HEIGHT, LOWEST]);
    }

    #[test]
    fn names_far_from_each_other_stay_beside_their_lines() {
        assert_eq!(spread_at([0.0, 300.0]), [LOWEST, LOWEST]);
    }
}
