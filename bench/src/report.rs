//! The tables that come out: one for each scenario, medians over the rounds, in Markdown.

use std::fmt::Write as _;

use crate::{
    sample::{Figure, Sample},
    scenario::Scenario,
    server::BUN,
};

/// All samples of one scenario: for each contestant, one of each round.
pub struct Results<'a> {
    /// Which.
    pub scenario: &'a Scenario,
    /// By name of the contestant, in the order of the table.
    pub samples: Vec<(&'static str, Vec<Sample>)>,
}

impl Results<'_> {
    /// The table, with a heading and what has to be said with it.
    pub fn markdown(&self) -> String {
        let mut out = format!("#### {}\n{}. Aim: {}.\n\n", self.scenario.name, self.scenario.about, self.scenario.aim);
        let mut columns: Vec<Figure> = Vec::new();
        for figure in self.samples.iter().flat_map(|(_, samples)| samples).flat_map(Sample::figures) {
            if !columns.contains(&figure) {
                columns.push(figure);
            }
        }
        let reference = self.reference();
        // Writing to a string cannot fail.
        let headings: Vec<_> = columns.iter().map(|column| column.heading()).collect();
        let _ = write!(out, "| | {} |", headings.join(" | "));
        if let Some(name) = reference {
            let _ = write!(out, " {} vs {name} |", heading_of_ratio(self.scenario.compared));
        }
        let _ =
            write!(out, "\n|---|{}{}\n", "---|".repeat(columns.len()), if reference.is_some() { "---|" } else { "" });
        for (name, samples) in &self.samples {
            let mark = if samples.iter().any(|sample| !sample.notes.is_empty()) { " ⚠" } else { "" };
            let _ = write!(out, "| {name}{mark} |");
            for column in &columns {
                let value = median(samples.iter().filter_map(|sample| sample.value(*column)));
                let _ = write!(out, " {} |", value.map_or_else(String::new, |value| column.show(value)));
            }
            if let Some(reference) = reference {
                let _ = write!(
                    out,
                    " {} |",
                    self.ratio(samples, reference).map_or_else(String::new, |r| format!("{r:.2} ×"))
                );
            }
            out.push('\n');
        }
        for (name, samples) in &self.samples {
            for (round, sample) in (1..).zip(samples) {
                for note in &sample.notes {
                    let _ = write!(out, "\n⚠ {name}, round {round}: {note}.");
                }
            }
        }
        out
    }

    /// Whom the others are compared with: Bun if it takes part, else the first of several.
    fn reference(&self) -> Option<&'static str> {
        let names: Vec<_> = self.samples.iter().map(|(name, _)| *name).collect();
        names.iter().find(|name| **name == BUN.name).or(names.first().filter(|_| names.len() > 1)).copied()
    }

    /// The median of the ratios of each round: what disturbs a round disturbs both.
    fn ratio(&self, samples: &[Sample], reference: &str) -> Option<f64> {
        let (_, others) = self.samples.iter().find(|(name, _)| *name == reference)?;
        let compared = self.scenario.compared;
        let pairs = samples.iter().zip(others);
        median(pairs.filter_map(|(sample, other)| Some(sample.value(compared)? / other.value(compared)?)))
    }
}

fn heading_of_ratio(figure: Figure) -> &'static str {
    figure.heading().split(',').next().unwrap_or_default()
}

/// The one in the middle, or the mean of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get(values.len().checked_sub(1)? / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::SCENARIOS;

    fn samples(values: &[f64]) -> Vec<Sample> {
        let sample = |value: &f64| {
            let mut sample = Sample::default();
            sample.put(Figure::Cpu, *value);
            sample
        };
        values.iter().map(sample).collect()
    }

    #[test]
    fn medians_are_of_the_rounds_and_ratios_of_the_same_round() {
        let mut standpipe = samples(&[1.0, 4.0, 9.0]);
        standpipe[2].notes.push("3 deliveries lost".to_owned());
        let results = Results {
            scenario: &SCENARIOS[0],
            samples: vec![("bun", samples(&[2.0, 4.0, 6.0])), ("standpipe", standpipe)],
        };
        let table = results.markdown();
        assert!(table.contains("| bun | 4.00 | 1.00 × |\n| standpipe ⚠ | 4.00 | 1.00 × |\n"), "{table}");
        assert!(table.ends_with("⚠ standpipe, round 3: 3 deliveries lost."), "{table}");
    }

    #[test]
    fn a_median_of_an_even_number_lies_between_two() {
        for (values, expected) in [(&[][..], None), (&[3.0], Some(3.0)), (&[4.0, 1.0], Some(2.5))] {
            assert_eq!(median(values.iter().copied()), expected);
        }
    }
}
