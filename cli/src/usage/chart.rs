//! A chart of bars for a terminal.

/// How many lines the bars have.
const HEIGHT: usize = 6;
/// A line is filled in eighths.
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Draws bars on a line, `left` and `right` below its ends; nothing where all are empty. A bar that is
/// not empty can be seen, however small it is.
pub fn chart(values: &[f64], left: &str, right: &str, label: impl Fn(f64) -> String) -> String {
    let top = values.iter().copied().fold(0.0, f64::max);
    if top <= 0.0 {
        return String::new();
    }
    let labels = [label(top), label(0.0)];
    let width = labels
        .iter()
        .map(|text| text.chars().count())
        .max()
        .unwrap_or(0);
    let heights: Vec<usize> = values.iter().map(|value| eighths(*value, top)).collect();
    let mut lines = Vec::new();
    for line in (0..HEIGHT).rev() {
        let bars = heights.iter().map(|height| {
            let filled = height.saturating_sub(line * 8).min(8);
            EIGHTHS.get(filled).copied().unwrap_or(' ')
        });
        let name = if line + 1 == HEIGHT { &labels[0] } else { "" };
        let bars: String = bars.collect();
        lines.push(format!("{name:>width$} │{}", bars.trim_end()));
    }
    let line: String = values.iter().map(|_| '─').collect();
    lines.push(format!("{:>width$} └{line}", labels[1]));
    let room = values.len().saturating_sub(left.chars().count());
    let gap = " ".repeat(width + 2);
    lines.push(format!("{gap}{left}{right:>room$}"));
    lines.join("\n")
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a part of the height of a chart"
)]
fn eighths(value: f64, top: f64) -> usize {
    let full = (HEIGHT * 8) as f64;
    let height = (value / top * full).round().clamp(0.0, full) as usize;
    if value > 0.0 { height.max(1) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_high_as_they_count() {
        let label = |value: f64| format!("{value}");
        let drawn = chart(&[0.0, 0.01, 24.0, 48.0, 0.0, 5.0], "a", "b", label);
        assert_eq!(
            drawn,
            "\
48 │   █
   │   █
   │   █
   │  ██
   │  ██
   │ ▁██ ▅
 0 └──────
    a    b"
        );
        assert_eq!(chart(&[0.0, 0.0], "a", "b", label), "");
        assert_eq!(chart(&[], "a", "b", label), "");
    }
}
