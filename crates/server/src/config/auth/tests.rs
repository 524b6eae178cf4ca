use expect_test::expect;

use super::*;
use crate::config::{Environment, Problems, Settings, parse_toml};

const SOURCE: &str = "[[source]]\nname = \"in\"\nkind = \"push\"\n";
const HASH: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn read(text: &str, environment: &Environment) -> Result<Settings, Problems> {
    parse_toml(&format!("{text}\n{SOURCE}"), environment)
}

fn problems(text: &str) -> String {
    let read = read(text, &Environment::default());
    read.map(|settings| format!("valid: {:?}", settings.auth)).unwrap_err().to_string()
}

#[test]
fn a_key_is_what_its_entry_says() {
    let text = format!(
        "[auth]\nmode = \"keys\"\n[[auth.key]]\nname = \"a\"\nhash = \"{HASH}\"\nsubscribe = [\"a.>\"]\n\
         filter = {{ tenant = \"t1\", n = {{ gte = 1.5 }} }}\nplan = \"pro\"\n\
         [[auth.key]]\nname = \"b\"\nhash = \"{}\"\nsubject = \"s\"\npublish = [\"b\"]\nfilter = '{{\"n\":0.10}}'\n\
         [plan.pro]\n",
        HASH.replace("ba", "bb")
    );
    let Auth::Keys(keys) = read(&text, &Environment::default()).unwrap().auth else { panic!() };
    let [a, b] = &keys[..] else { panic!("{keys:?}") };
    assert_eq!((&*a.subject, a.plan.as_deref(), &*b.subject, b.plan.as_deref()), ("a", Some("pro"), "s", None));
    assert_eq!(a.hash.to_string(), HASH);
    assert!(b.grant.publishes_anything() && !a.grant.publishes_anything());
    let granted = format!("{:?} {:?}", a.grant, b.grant);
    assert!(
        granted.contains(r#"Filter({"n":{"gte":1.5},"tenant":"t1"})"#)
            || granted.contains(r#"Filter({"tenant":"t1","n":{"gte":1.5}})"#),
        "{granted}"
    );
    assert!(granted.contains(r#"Filter({"n":0.1})"#), "{granted}");
}

#[test]
fn tokens_are_checked_as_it_is_written_and_secrets_come_from_the_environment() {
    let environment = Environment::from_iter([
        ("JWT_SECRET", "hunter2-hunter2-hunter2-hunter2-x"),
        ("STANDPIPE__AUTH__MODE", "jwt"),
        ("STANDPIPE__AUTH__JWT__AUDIENCE", r#"["here"]"#),
    ]);
    let text = "[auth.jwt]\nalgorithm = \"HS256\"\nsecret = \"${JWT_SECRET}\"\nsubscribe = [\"public.>\"]\n";
    let settings = read(text, &environment).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
    let Auth::Tokens(rules, TokenKeys::Given(_)) = &settings.auth else { panic!("{:?}", settings.auth) };
    assert_eq!((rules.algorithm, &rules.audiences[..]), (Algorithm::Hs256, &["here".to_owned()][..]));
    assert_eq!(settings.auth.summary(), "tokens, signed by HS256 with a key of this file");
    let url = "[auth]\nmode = \"jwt\"\n[auth.jwt]\nalgorithm = \"RS256\"\njwks_url = \"https://u:hunter2@issuer.example:8443/hunter2\"";
    let settings = read(url, &Environment::default()).unwrap();
    assert_eq!(settings.auth.summary(), "tokens, signed by RS256 with the keys of issuer.example:8443");
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn what_is_wrong_is_told_and_never_what_may_be_secret() {
    let keys = |rest: &str| format!("[auth]\nmode = \"keys\"\n{rest}");
    let jwt = |rest: &str| format!("[auth]\nmode = \"jwt\"\n[auth.jwt]\n{rest}");
    let key = |rest: &str| format!("[[auth.key]]\nname = \"k\"\nhash = \"{HASH}\"\n{rest}\n");
    let cases = [
        keys(""),
        keys(&key("")),
        keys(&format!("{}{}", key("subscribe = [\"a\"]"), key("publish = [\"a\"]"))),
        keys(&key("subscribe = [\"a..b\"]\nfilter = { x = { near = 1 } }\nscope = 1")),
        keys("[[auth.key]]\nname = \"k\"\nhash = \"hunter2\"\nsubscribe = [\">\"]"),
        keys("key = \"hunter2\""),
        keys(&format!("{}[plan.pro]\n", key("subscribe = [\"a\"]\nplan = \"pr0\""))),
        keys(&key("subscribe = [\"a\"]\nplan = \"free\"")),
        key("subscribe = [\">\"]"),
        "[auth.jwt]\nalgorithm = \"HS256\"\nsecret = \"hunter2-hunter2-hunter2-hunter2-x\"".to_owned(),
        jwt(""),
        jwt("algorithm = \"none\""),
        jwt("algorithm = \"HS256\""),
        jwt("algorithm = \"HS256\"\nsecret = \"hunter2\""),
        jwt("algorithm = \"RS256\"\nsecret = \"hunter2-hunter2-hunter2-hunter2-x\""),
        jwt("algorithm = \"ES256\"\njwks_url = \"ftp://hunter2\""),
        jwt("algorithm = \"ES256\"\njwks_file = \"nowhere.json\""),
        "[auth]\nmod = \"keys\"\njwt = 5".to_owned(),
    ];
    let told = cases.map(|text| problems(&text)).join("\n--\n");
    assert!(!told.contains("hunter2"), "{told}");
    expect![[r#"
        `auth.key`: there is none: nobody could connect; `standpipe key` makes one
        --
        `auth.key.k`: it allows nothing; write subscribe = [">"] to have it see everything
        --
        `auth.key.k.name`: another key has this name; names are unique
        `auth.key.k.hash`: another key has this hash; each key is a key of its own
        --
        `auth.key.k.scope`: there is no such key; there are name, hash, subject, subscribe, publish, filter, params, plan
        `auth.key.k.subscribe[0]`: the topic pattern `a..b` has an empty token; tokens stand between single dots, as in `trades.BTC`
        `auth.key.k`: it allows nothing; write subscribe = [">"] to have it see everything
        `auth.key.k.filter`: unknown operator `near` at `x`; operators are `eq`, `ne`, `in`, `nin`, `gt`, `gte`, `lt`, `lte`, `prefix`, `suffix`, `contains`, `exists`; a nested field is written `user.name`
        --
        `auth.key.k.hash`: it is no hash; it is `sha256:` and 64 hexadecimal digits: `standpipe key` makes a key and tells its hash
        --
        `auth.key`: it is not a list of tables; write one [[auth.key]] for each, with a name and a hash
        --
        `auth.key.k.plan`: there is no plan `pr0`; did you mean `pro`?
        --
        `auth.key.k.plan`: there is no plan `free`; write [plan.free], or leave it out
        --
        `auth.key`: there are keys, and nobody asks for them; write mode = "keys" in [auth]
        --
        `auth.jwt`: there is a key for tokens, and nobody asks for them; write mode = "jwt" in [auth]
        --
        `auth.jwt.algorithm`: it is missing; write the one that your issuer signs by: "HS256", "RS256", "ES256" or "EdDSA"
        --
        `auth.jwt.algorithm`: found "none"; it is one of HS256, RS256, ES256, EdDSA
        --
        `auth.jwt`: the keys that it names do not fit the algorithm, or are not just one; HS256 takes one `secret`
        --
        `auth.jwt.secret`: it has fewer than 32 bytes; RFC 7518 asks for as many; make it of random bytes
        --
        `auth.jwt`: the keys that it names do not fit the algorithm, or are not just one; RS256 takes one of `key_file`, `jwks_file` and `jwks_url`
        --
        `auth.jwt.jwks_url`: it is no URL of a set of keys; write one such as "https://issuer.example/.well-known/jwks.json"
        --
        `auth.jwt.jwks_file`: there is no file nowhere.json
        --
        `auth.mod`: there is no such key; did you mean `mode`?
        `auth.jwt`: it is not a table; write [auth.jwt] above its keys"#]].assert_eq(&told);
}
