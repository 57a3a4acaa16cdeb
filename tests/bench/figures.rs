//! Samples, their statistics, and the table.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::candidates::Candidate;

/// The values of one figure: for every candidate one per round, in the same order of rounds.
#[derive(Clone, Default)]
pub struct Samples(BTreeMap<Candidate, Vec<f64>>);

impl Samples {
    pub fn add(&mut self, candidate: Candidate, value: f64) {
        self.0.entry(candidate).or_default().push(value);
    }

    fn median(&self, candidate: Candidate) -> Option<f64> {
        self.0
            .get(&candidate)
            .and_then(|values| quantile(values, 0.5))
    }

    /// The ratios of a candidate to another, round by round; none where there is nothing to divide by.
    fn ratios(&self, candidate: Candidate, base: Candidate) -> Option<Vec<f64>> {
        let (above, below) = (self.0.get(&candidate)?, self.0.get(&base)?);
        let ratios: Vec<f64> = above
            .iter()
            .zip(below)
            .filter(|(_, b)| **b > 0.0)
            .map(|(a, b)| a / b)
            .collect();
        (!ratios.is_empty()).then_some(ratios)
    }

    /// What a candidate adds to another, round by round.
    pub fn added_to(&self, base: Candidate) -> Samples {
        let mut added = Samples::default();
        let below = self.0.get(&base).cloned().unwrap_or_default();
        for (candidate, values) in self.0.iter().filter(|(c, _)| **c != base) {
            for (value, below) in values.iter().zip(&below) {
                added.add(*candidate, value - below);
            }
        }
        added
    }
}

/// The value below which this part of the values lies, between two of them if need be.
pub fn quantile(values: &[f64], part: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = sorted.len().checked_sub(1)? as f64 * part;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    Some(sorted[below] + (sorted[above] - sorted[below]) * place.fract())
}

/// What a figure has to reach: floor, then goal.
#[derive(Clone, Copy)]
pub enum Limit {
    /// To be known, not to be reached.
    None,
    /// mosaic-agent's own value is at most this.
    Value(f64, f64),
    /// mosaic-agent's own value is at least this.
    AtLeast(f64, f64),
    /// The ratio is at most this.
    RatioAtMost(f64, f64),
    /// The ratio is at least this.
    RatioAtLeast(f64, f64),
}

/// A row of the table.
pub struct Row {
    what: String,
    samples: Samples,
    base: Candidate,
    limit: Limit,
}

impl Row {
    pub fn new(what: impl Into<String>, samples: Samples, limit: Limit) -> Row {
        Row {
            what: what.into(),
            samples,
            base: Candidate::CRaw,
            limit,
        }
    }

    /// The ratio is to this candidate instead of c-raw.
    pub fn against(mut self, base: Candidate) -> Row {
        self.base = base;
        self.what.push_str(&format!(" (ratio to {})", base.name()));
        self
    }

    fn ratios(&self) -> Option<Vec<f64>> {
        self.samples.ratios(Candidate::Agent, self.base)
    }

    /// Floor and goal in words.
    fn limits(&self) -> [String; 2] {
        let words = |sign: &str, floor: f64, goal: f64, unit: &str| {
            [floor, goal].map(|x| format!("{sign} {}{unit}", number(x)))
        };
        match self.limit {
            Limit::None => ["–", "–"].map(str::to_owned),
            Limit::Value(floor, goal) => words("≤", floor, goal, ""),
            Limit::AtLeast(floor, goal) => words("≥", floor, goal, ""),
            Limit::RatioAtMost(floor, goal) => words("≤", floor, goal, " ×"),
            Limit::RatioAtLeast(floor, goal) => words("≥", floor, goal, " ×"),
        }
    }

    /// Which of the two is reached.
    fn met(&self) -> &'static str {
        let value = self.samples.median(Candidate::Agent);
        let ratio = self.ratios().and_then(|r| quantile(&r, 0.5));
        let (reached, floor, goal) = match self.limit {
            Limit::None => return "–",
            Limit::Value(floor, goal) => (value, floor, goal),
            Limit::AtLeast(floor, goal) => (value.map(|v| -v), -floor, -goal),
            Limit::RatioAtMost(floor, goal) => (ratio, floor, goal),
            Limit::RatioAtLeast(floor, goal) => (ratio.map(|r| -r), -floor, -goal),
        };
        match reached {
            None => "not measured",
            Some(x) if x <= goal => "goal",
            Some(x) if x <= floor => "floor",
            Some(_) => "**no**",
        }
    }
}

/// The table as Markdown, one column per candidate.
pub fn table(rows: &[Row], candidates: &[Candidate]) -> String {
    let names: Vec<&str> = candidates.iter().map(|c| c.name()).collect();
    let mut out = format!("| what | {} |", names.join(" | "));
    out.push_str(" ratio to c-raw (min–max) | floor | goal | met? |\n| --- |");
    out.push_str(&" --- |".repeat(candidates.len() + 4));
    for row in rows {
        let value = |c: &Candidate| row.samples.median(*c).map_or("–".to_owned(), number);
        let cells: Vec<String> = candidates.iter().map(value).collect();
        let [floor, goal] = row.limits();
        let ratio = row.ratios().map_or("–".to_owned(), |r| spread(&r));
        let _ = write!(
            out,
            "\n| {} | {} | {ratio} | {floor} | {goal} | {} |",
            row.what,
            cells.join(" | "),
            row.met()
        );
    }
    out
}

/// Median and range.
fn spread(values: &[f64]) -> String {
    let [least, median, most] =
        [0.0, 0.5, 1.0].map(|part| quantile(values, part).unwrap_or(f64::NAN));
    format!("{median:.2} ({least:.2}–{most:.2})")
}

/// Three digits that matter.
fn number(value: f64) -> String {
    match value.abs() {
        x if x >= 99.95 || x.fract() == 0.0 => format!("{value:.0}"),
        x if x >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
