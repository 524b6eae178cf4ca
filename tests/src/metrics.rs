//! Prometheus text, read.

use std::collections::BTreeMap;

/// What `/metrics` told at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics(Vec<Sample>);

#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Reads a whole page.
    pub fn read(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(samples.map(|line| sample(line).unwrap_or_else(|| panic!("not a sample: {line}"))).collect())
    }

    /// The sum over all label values; nothing if there is no metric of this name.
    pub fn sum(&self, name: &str) -> Option<f64> {
        self.value(name, &[])
    }

    /// The sum over all samples that have these labels among theirs; nothing if there is none.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fits = |sample: &&Sample| {
            sample.name == name && labels.iter().all(|(k, v)| sample.labels.get(*k).is_some_and(|value| value == v))
        };
        self.0.iter().filter(fits).map(|sample| sample.value).reduce(|a, b| a + b)
    }

    /// The same sum, of a metric that counts.
    ///
    /// # Panics
    /// If there is no such metric, or it is no whole number.
    pub fn count(&self, name: &str) -> u64 {
        let sum = self.sum(name).unwrap_or_else(|| panic!("no metric {name}"));
        sum.to_string().parse().unwrap_or_else(|_| panic!("{name} is {sum}"))
    }

    /// The names, each once, in order.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.0.iter().map(|sample| sample.name.as_str()).collect();
        names.dedup();
        names
    }
}

/// `name{label="value",…} 1.5`. Labels come from closed sets of words, so that no value has a comma or a quote.
fn sample(line: &str) -> Option<Sample> {
    let (what, value) = line.rsplit_once(' ')?;
    let (name, labels) = what.split_once('{').unwrap_or((what, "}"));
    let mut found = BTreeMap::new();
    for label in labels.strip_suffix('}')?.split(',').filter(|label| !label.is_empty()) {
        let (label, value) = label.split_once('=')?;
        found.insert(label.to_owned(), value.trim_matches('"').to_owned());
    }
    Some(Sample { name: name.to_owned(), labels: found, value: value.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_name_and_labels() {
        let text = "# TYPE a counter\na{x=\"1\",y=\"2\"} 3\na{x=\"1\",y=\"3\"} 4\nb 0.5\n";
        let metrics = Metrics::read(text);
        assert_eq!(metrics.value("a", &[("y", "2")]), Some(3.0));
        assert_eq!(metrics.sum("a"), Some(7.0));
        assert_eq!(metrics.sum("b"), Some(0.5));
        assert_eq!(metrics.count("a"), 7);
        assert_eq!(metrics.value("a", &[("x", "9")]), None);
        assert_eq!(metrics.names(), ["a", "b"]);
    }
}
