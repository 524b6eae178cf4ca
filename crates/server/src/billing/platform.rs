//! Billing by the platform: what the run may cost is asked for, and whether it can be billed at all, before anybody is served.

use anyhow::{Context as _, anyhow, bail};
use standpipe_apify::{Api, ApifySink, RunInfo, Tenancy, terms};
use standpipe_ledger::{Cap, Unbilled, Usd};

use crate::{
    config::{Billing as Settings, Payer, Platform},
    hosted::{self, insist},
};

/// A run that can be billed.
pub(super) struct Begun {
    pub(super) sink: ApifySink,
    pub(super) info: RunInfo,
    pub(super) cap: Option<Cap>,
    pub(super) payer: Payer,
}

/// Asks for the run, and judges what is said of it.
///
/// # Errors
/// If it is not told, or what is told does not allow to bill.
pub(super) async fn begin(platform: &Platform, settings: &Settings) -> anyhow::Result<Begun> {
    let api = hosted::api(&platform.env, platform.call_timeout)?;
    let info = ask(&api, platform).await.context("begin to bill by the platform")?;
    let own = |name: &str| settings.events.iter().any(|(_, event)| event.as_str() == name);
    judge(&info, settings)?;
    let cap = cap(info.clone(), settings.cap, own)?;
    let payer = payer(platform.payer, info.tenancy)?;
    let sink = ApifySink::new(api, terms(platform.key_life, platform.call_timeout));
    Ok(Begun { sink, info, cap, payer })
}

/// Asks until it is told, or will not be. If the platform does not answer, what it wrote into the environment counts.
async fn ask(api: &Api, platform: &Platform) -> anyhow::Result<RunInfo> {
    let error = match insist(|| api.run(platform.env.tier)).await {
        Ok(info) => return Ok(info),
        Err(error) => error,
    };
    let Some(info) = platform.info.as_ref().filter(|_| error.may_pass()) else { return Err(error.into()) };
    tracing::warn!(%error, "the platform does not tell of the run; what the environment says of its costs counts");
    Ok(info.clone())
}

/// Nothing is begun that could never be charged, unless it is to be given.
fn judge(info: &RunInfo, settings: &Settings) -> anyhow::Result<()> {
    let unpriced = settings.events.iter().map(|(_, event)| event).find(|event| info.price(event).is_none());
    let why = match unpriced {
        _ if !info.is_pay_per_event => "the Actor is not paid for by events".to_owned(),
        Some(event) => format!("the Actor has no price for the event `{event}`"),
        None => return Ok(()),
    };
    let right = "give it one where the Actor is monetized, or name another in `billing.event`";
    match (unpriced, settings.unbilled) {
        (Some(event), _) if has_cap(info, settings) && info.is_pay_per_event => {
            bail!(
                "the price of `{event}` is not known, and the run has a limit of cost: nobody could tell when it is reached; {right}"
            )
        }
        (_, Unbilled::Hold) => {
            bail!(
                "{why}, so that nothing could be charged or delivered; {right}, or write `billing.unbilled = \"give\"`"
            )
        }
        (_, Unbilled::Give) => tracing::warn!("{why}: what would be charged for it is delivered for nothing"),
    }
    Ok(())
}

fn has_cap(info: &RunInfo, settings: &Settings) -> bool {
    info.max_total_charge.is_some() || settings.cap.is_some()
}

/// The lesser of the platform's limit and ours.
fn cap(mut info: RunInfo, ours: Option<Usd>, own: impl Fn(&str) -> bool) -> anyhow::Result<Option<Cap>> {
    info.max_total_charge = [info.max_total_charge, ours].into_iter().flatten().min();
    info.cap(own).map_err(|event| {
        anyhow!("`{event}` was charged in this run, and its price is not known: nobody can tell what is left of the limit of cost")
    })
}

fn payer(wanted: Payer, told: Option<Tenancy>) -> anyhow::Result<Payer> {
    match (wanted, told) {
        (Payer::Auto, Some(Tenancy::Multi)) => Ok(Payer::Caller),
        (Payer::Auto, _) => Ok(Payer::Run),
        (Payer::Run, Some(Tenancy::Multi)) => {
            bail!(
                "callers share this run, and `billing.payer` is `run`: its developer would pay for them; write `caller`"
            )
        }
        (wanted, _) => Ok(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(json: &str) -> RunInfo {
        RunInfo::parse(json.as_bytes(), standpipe_apify::Tier::Free).unwrap()
    }

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    #[test]
    fn the_lesser_limit_counts_and_what_others_spent_of_it() {
        let run = info(
            r#"{"data":{"options":{"maxTotalChargeUsd":2},"chargedEventCounts":{"other":3,"ours":5},"pricingInfo":{
                "pricingModel":"PAY_PER_EVENT","pricingPerEvent":{"actorChargeEvents":{
                "other":{"eventPriceUsd":0.1},"ours":{"eventPriceUsd":0.01}}}}}}"#,
        );
        let own = |name: &str| name == "ours";
        for (ours, least) in [(None, "2"), (Some("1.5"), "1.5"), (Some("3"), "2")] {
            let cap = cap(run.clone(), ours.map(usd), own).unwrap().unwrap();
            assert_eq!((cap.amount, cap.spent_otherwise), (usd(least), usd("0.3")));
        }
        let mut unpriced = run;
        unpriced.prices.remove("other");
        let told = cap(unpriced, None, own).unwrap_err().to_string();
        assert!(told.starts_with("`other` was charged"), "{told}");
    }

    #[test]
    fn callers_pay_where_they_share_a_run_and_nobody_pays_for_them_by_mistake() {
        for (wanted, told, pays) in [
            (Payer::Auto, None, Some(Payer::Run)),
            (Payer::Auto, Some(Tenancy::Single), Some(Payer::Run)),
            (Payer::Auto, Some(Tenancy::Multi), Some(Payer::Caller)),
            (Payer::Run, Some(Tenancy::Single), Some(Payer::Run)),
            (Payer::Run, Some(Tenancy::Multi), None),
            (Payer::Caller, None, Some(Payer::Caller)),
        ] {
            assert_eq!(payer(wanted, told).ok(), pays, "{wanted:?} {told:?}");
        }
    }
}
