//! A picture of how our worker compares with the floors: a line a ratio, from the least to the greatest
//! of the rounds, with its median, and the target where there is one.

use std::fmt::Write;

use anyhow::Result;

use crate::contender::Contender;
use crate::harness::Outcome;
use crate::report::short;
use crate::statistics::Spread;
use crate::targets;

const ROW: f64 = 22.0;
const TOP: f64 = 64.0;
const LEFT: f64 = 430.0;
const PLOT: f64 = 420.0;
const RIGHT: f64 = 90.0;

struct Row {
    name: String,
    spread: Spread,
    target: Option<f64>,
    is_tokens: bool,
}

/// Draws it.
pub fn draw(outcomes: &[Outcome], caption: &str) -> Result<String> {
    let rows = rows(outcomes);
    let ends = rows
        .iter()
        .flat_map(|row| [row.spread.low, row.spread.high]);
    let ends = ends.filter(|end| *end > 0.0 && end.is_finite());
    let (low, high) = ends.fold((0.5_f64, 2.0_f64), |(low, high), end| {
        (low.min(end), high.max(end))
    });
    // Twice as much is as far to the right as half as much is to the left.
    let at = |ratio: f64| {
        let part = (ratio.max(low) / low).ln() / (high / low).ln();
        LEFT + PLOT * part
    };
    let (width, bottom) = (LEFT + PLOT + RIGHT, TOP + ROW * rows.len() as f64);
    let height = bottom + 16.0;
    let mut svg = String::new();
    writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="12">
<rect width="{width}" height="{height}" fill="#fff"/>
<text x="12" y="22" font-size="15" font-weight="600" fill="#222">Our worker, as a multiple of a plain JavaScript worker</text>
<text x="12" y="40" fill="#666">{}</text>"##,
        escape(&format!("{caption}; red lines are targets"))
    )?;
    for tick in [
        0.03125, 0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0,
    ] {
        if tick < low || tick > high {
            continue;
        }
        let (x, color) = (at(tick), if tick == 1.0 { "#888" } else { "#ddd" });
        writeln!(
            svg,
            r##"<line x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom}" stroke="{color}"/>
<text x="{x:.1}" y="{:.1}" text-anchor="middle" fill="#666">{tick} ×</text>"##,
            TOP - 6.0
        )?;
    }
    for (number, row) in rows.iter().enumerate() {
        let y = TOP + ROW * (number as f64 + 0.5);
        let color = if row.is_tokens { "#b5651d" } else { "#2166ac" };
        writeln!(
            svg,
            r##"<text x="{:.1}" y="{:.1}" text-anchor="end" fill="#222">{}</text>
<line x1="{:.1}" y1="{y:.1}" x2="{:.1}" y2="{y:.1}" stroke="{color}" stroke-width="3" stroke-opacity="0.4"/>
<circle cx="{:.1}" cy="{y:.1}" r="4.5" fill="{color}"/>
<text x="{:.1}" y="{:.1}" fill="#222">{} ×</text>"##,
            LEFT - 10.0,
            y + 4.0,
            escape(&row.name),
            at(row.spread.low),
            at(row.spread.high),
            at(row.spread.median),
            LEFT + PLOT + 14.0,
            y + 4.0,
            short(row.spread.median),
        )?;
        if let Some(target) = row.target {
            let (x, above, below) = (at(target), y - 8.0, y + 8.0);
            writeln!(
                svg,
                r##"<line x1="{x:.1}" y1="{above:.1}" x2="{x:.1}" y2="{below:.1}" stroke="#d6604d" stroke-width="2"/>"##
            )?;
        }
    }
    svg += "</svg>\n";
    Ok(svg)
}

fn rows(outcomes: &[Outcome]) -> Vec<Row> {
    let mut rows = Vec::new();
    for outcome in outcomes {
        for ratio in &outcome.ratios {
            let is_tokens = ratio.of == Contender::Tokens;
            // Tokens are compared with our own worker without them, where that was asked for.
            let counts = match ratio.of {
                Contender::Ours => ratio.to != Contender::Before,
                Contender::Tokens => ratio.to == Contender::Ours && ratio.metric == "CPU",
                _ => false,
            };
            let says_little = ["requests", "p99", "delivery p99"].contains(&ratio.metric);
            if counts && !says_little {
                let to = match ratio.metric {
                    _ if is_tokens => ", project-jwt to no auth",
                    "rate" | "speed" => " (more is better)",
                    _ => "",
                };
                rows.push(Row {
                    name: format!("{}: {}{to}", outcome.name, ratio.metric),
                    spread: ratio.spread,
                    target: targets::limit(outcome.name, ratio),
                    is_tokens,
                });
            }
        }
    }
    rows
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
