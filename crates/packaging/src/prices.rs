//! `pay_per_event.json`: what an Actor charges, as its author writes it and as its README shows it.

use std::{collections::BTreeMap, fmt::Write};

use serde::Deserialize;

/// Prices by the event's name.
pub(crate) type Prices = BTreeMap<String, Price>;

/// One event. The platform has the same names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Price {
    #[serde(rename = "eventTitle")]
    title: String,
    #[serde(rename = "eventDescription")]
    description: String,
    #[serde(rename = "eventPriceUsd")]
    usd: serde_json::Number,
}

/// What is wrong with them.
pub(crate) fn faults(prices: &Prices) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, price) in prices {
        if name.starts_with("apify-") {
            faults.push(format!("pay_per_event.json: `{name}`: names that begin with `apify-` are the platform's"));
        }
        if price.usd.as_f64().is_none_or(|usd| usd <= 0.0) {
            faults.push(format!("pay_per_event.json: `{name}`: `eventPriceUsd` has to be more than 0"));
        }
        if price.title.is_empty() || price.description.is_empty() {
            faults.push(format!("pay_per_event.json: `{name}`: callers read its title and description, one is empty"));
        }
    }
    faults
}

/// A table in Markdown.
pub(crate) fn table(prices: &Prices) -> String {
    let mut table = String::from("| event | price (USD) | what |\n|---|---|---|\n");
    for (name, price) in prices {
        let _ = writeln!(table, "| `{name}` | {} | {} |", price.usd, price.description);
    }
    table
}
