use std::{collections::HashMap, num::NonZeroUsize};

use proptest::prelude::*;

use super::*;

fn count(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

fn rate(count: u32) -> Rate {
    Rate { count: count.try_into().unwrap(), per: Duration::from_secs(1) }
}

fn guests(change: impl FnOnce(&mut config::Guests)) -> Arc<Guests> {
    let mut limits = config::Guests {
        max_connections: count(10),
        max_http: Some(count(2)),
        address: Allowance::default(),
        credential: Allowance::default(),
        plans: HashMap::new(),
        max_addresses: count(20),
        max_refusal_delay: Some(Duration::from_secs(2)),
    };
    change(&mut limits);
    Arc::new(Guests::new(limits, 8, Arc::default()))
}

fn peer(text: &str) -> SocketAddr {
    SocketAddr::new(text.parse().unwrap(), 4711)
}

fn somebody(credential: &str, plan: Option<&str>) -> Identity {
    Identity { credential: Some(credential.into()), plan: plan.map(Into::into), ..Identity::default() }
}

fn exceeded(guests: &Guests, limit: Limit) -> u64 {
    guests.counts.limits.all().find(|(word, _)| *word == limit.word()).unwrap().1
}

#[test]
fn there_are_so_many_places_and_a_place_that_is_left_is_free() {
    let guests = guests(|_| {});
    let nobody = Identity::default();
    let mut places: Vec<_> = (0..10).map(|_| guests.enter(peer("192.0.2.1"), &nobody).unwrap()).collect();
    for _ in 0..3 {
        let refusal = guests.enter(peer("192.0.2.2"), &nobody).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::OverCapacity);
    }
    assert_eq!(exceeded(&guests, Limit::MaxConnections), 3);
    places.pop();
    places.push(guests.enter(peer("192.0.2.2"), &nobody).unwrap());
    assert!(guests.enter(peer("192.0.2.2"), &nobody).is_err());
}

#[test]
fn an_address_has_its_own_bound_and_its_ipv6_addresses_share_one() {
    let guests = guests(|limits| limits.address.max_connections = Some(count(2)));
    let nobody = Identity::default();
    let enter = |text: &str| guests.enter(peer(text), &nobody);
    let _kept = (enter("2001:db8:1:2::1").unwrap(), enter("2001:db8:1:2:ffff::7").unwrap());
    let refusal = enter("2001:db8:1:2::9").unwrap_err();
    assert!(refusal.message.contains("your address"), "{refusal:?}");
    let other = enter("2001:db8:1:3::1").unwrap();
    let mapped = (enter("::ffff:192.0.2.1").unwrap(), enter("192.0.2.1").unwrap());
    assert!(enter("192.0.2.1").is_err());
    drop((other, mapped));
    assert!(enter("192.0.2.1").is_ok());
    assert_eq!(exceeded(&guests, Limit::MaxConnectionsPerIp), 2);
}

#[test]
fn a_credential_has_what_its_plan_gives_it_wherever_it_comes_from() {
    let guests = guests(|limits| {
        limits.credential.max_connections = Some(count(1));
        let plan = Allowance { max_connections: Some(count(3)), ..Allowance::default() };
        limits.plans.insert("pro".into(), plan);
    });
    let (free, pro) = (somebody("a", None), somebody("b", Some("pro")));
    let _one = guests.enter(peer("192.0.2.1"), &free).unwrap();
    let refusal = guests.enter(peer("192.0.2.2"), &free).unwrap_err();
    assert!(refusal.message.contains("your credential has"), "{refusal:?}");
    let _three: Vec<_> = (0..3).map(|i| guests.enter(peer(&format!("192.0.2.{i}")), &pro).unwrap()).collect();
    assert!(guests.enter(peer("192.0.2.9"), &pro).is_err());
    let unknown = guests.enter(peer("192.0.2.9"), &somebody("c", Some("gold"))).unwrap_err();
    assert_eq!((unknown.code, unknown.message.contains("`gold`")), (ErrorCode::Forbidden, true));
    assert_eq!(guests.open.load(Relaxed), 4, "who was refused holds no place");
}

#[tokio::test(start_paused = true)]
async fn who_connects_too_often_is_told_when_to_come_again_and_others_are_not_affected() {
    let guests = guests(|limits| {
        limits.address.connect_rate = Some(rate(2));
        limits.credential.connect_rate = Some(rate(1));
    });
    let (noisy, other) = (peer("192.0.2.1"), peer("192.0.2.2"));
    assert!(guests.knock(noisy).is_ok() && guests.knock(noisy).is_ok());
    let refusal = guests.knock(noisy).unwrap_err();
    assert_eq!((refusal.code, refusal.retry_after), (ErrorCode::RateLimited, Some(Duration::from_millis(500))));
    assert!(guests.knock(other).is_ok());
    tokio::time::advance(Duration::from_millis(500)).await;
    assert!(guests.knock(noisy).is_ok());

    let client = somebody("a", None);
    assert!(guests.enter(noisy, &client).is_ok());
    assert_eq!(guests.enter(other, &client).unwrap_err().code, ErrorCode::RateLimited);
    assert!(guests.enter(other, &somebody("b", None)).is_ok());
    assert_eq!(
        (exceeded(&guests, Limit::ConnectRatePerIp), exceeded(&guests, Limit::ConnectRatePerCredential)),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn who_leaves_too_much_unproven_is_kept_out_for_a_while_unless_it_is_proven_later() {
    let guests = guests(|limits| {
        limits.address.unproven_rate = Some(rate(10));
        limits.credential.unproven_rate = Some(rate(20));
    });
    let (rider, other, client) = (peer("192.0.2.1"), peer("192.0.2.2"), somebody("a", None));
    guests.leave_unproven(rider, &client, 9);
    assert!(guests.enter(rider, &client).is_ok());
    guests.leave_unproven(rider, &client, 9);
    let refusal = guests.enter(rider, &client).unwrap_err();
    assert_eq!((refusal.code, refusal.retry_after), (ErrorCode::RateLimited, Some(Duration::from_millis(900))));
    assert!(guests.enter(rider, &Identity::default()).is_err() && guests.enter(other, &client).is_ok());
    guests.leave_unproven(other, &client, 2);
    assert!(guests.enter(other, &client).is_err() && guests.enter(other, &somebody("b", None)).is_ok());
    guests.prove_late(rider, &client, 9);
    assert!(guests.enter(rider, &client).is_ok());
    guests.leave_unproven(rider, &client, 1_000_000);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(guests.enter(rider, &client).is_ok(), "not for ever");
    assert_eq!(
        (exceeded(&guests, Limit::UnprovenRatePerIp), exceeded(&guests, Limit::UnprovenRatePerCredential)),
        (2, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_published_together_is_taken_together_and_owed() {
    let guests = guests(|limits| limits.address.publish_rate = Some(rate(10)));
    let (publisher, nobody) = (peer("192.0.2.1"), Identity::default());
    assert!(guests.publish(publisher, &nobody, 100).is_ok());
    let refusal = guests.publish(publisher, &nobody, 1).unwrap_err();
    assert_eq!(refusal.retry_after, Some(Duration::from_millis(9100)));
    assert!(guests.publish(peer("192.0.2.2"), &nobody, 1).is_ok());
    tokio::time::advance(Duration::from_millis(9100)).await;
    assert!(guests.publish(publisher, &nobody, 1).is_ok());
}

#[test]
fn only_so_many_answers_are_held_back() {
    let guests = guests(|_| {});
    let storm = peer("192.0.2.1");
    let delays: Vec<_> = (0..20).filter_map(|_| guests.hold_back(storm, 7)).collect();
    assert_eq!((delays.len(), guests.held_back()), (2, 2), "a quarter of the places");
    drop(delays);
    assert_eq!(guests.held_back(), 0);
    assert!(guests.hold_back(peer("192.0.2.2"), 7).is_none(), "another address has not been refused before");
}

proptest! {
    #[test]
    fn however_many_come_and_go_sockets_are_counted_exactly_and_memory_is_bounded(
        steps in prop::collection::vec((0_u8..60, any::<bool>()), 0..300),
    ) {
        let guests = guests(|limits| {
            limits.max_connections = count(1000);
            limits.address.max_connections = Some(count(2));
            limits.address.connect_rate = Some(rate(1));
        });
        let mut model: HashMap<u8, Vec<Place>> = HashMap::new();
        for (host, comes) in steps {
            let address = peer(&format!("192.0.2.{host}"));
            let held = model.entry(host).or_default();
            if comes {
                let _ = guests.knock(address);
                let entered = guests.enter(address, &Identity::default());
                prop_assert_eq!(entered.is_ok(), held.len() < 2);
                held.extend(entered);
            } else {
                held.pop();
            }
            let open = model.values().map(Vec::len).sum::<usize>();
            prop_assert_eq!(guests.open.load(Relaxed), open);
            let here = model.values().filter(|held| !held.is_empty()).count();
            prop_assert!(guests.remembered().0 <= 20 + here);
        }
    }
}

#[test]
fn an_address_that_holds_too_many_connections_is_told_and_then_ignored() {
    let guests = guests(|_| {});
    let visit = |address| guests.visit(peer(address));
    let served: Vec<_> = (0..2).map(|_| visit("192.0.2.1")).collect();
    assert!(served.iter().all(|visitor| matches!(visitor, Visitor::Served(Some(_)))), "{served:?}");
    let refused: Vec<_> = (0..2).map(|_| visit("192.0.2.1")).collect();
    for visitor in &refused {
        let Visitor::Refused(_, refusal) = visitor else { panic!("{visitor:?}") };
        assert_eq!(refusal.code, ErrorCode::OverCapacity);
    }
    assert!(matches!(visit("192.0.2.1"), Visitor::Ignored));
    assert!(matches!(visit("192.0.2.2"), Visitor::Served(Some(_))), "others are not affected");
    assert_eq!(exceeded(&guests, Limit::MaxHttpPerIp), 3);
    drop((served, refused));
    assert!(matches!(visit("192.0.2.1"), Visitor::Served(Some(_))));
    let unbounded = super::tests::guests(|limits| limits.max_http = None);
    assert!((0..100).all(|_| matches!(unbounded.visit(peer("192.0.2.1")), Visitor::Served(None))));
}
