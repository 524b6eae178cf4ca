// Makes tokens and the keys that they are checked with, by nothing but Node's own `crypto`.
//
// Reads a JSON list from its argument: {"name", "key", "alg"?, "kid"?, "claims"} each. A key is one of `rsa`, `ec`, `ed` with
// a number behind it, made here and new each time; or `secret:TEXT`; or `public:KEY`, which is the PEM of that key taken
// for a secret; or `none`. Prints one line: {"tokens": {NAME: TOKEN}, "pems": {KEY: PEM}, "jwks": {KEY: JWK}}.

import { createHmac, generateKeyPairSync, sign } from "node:crypto";

const ALGORITHMS = { rsa: "RS256", ec: "ES256", ed: "EdDSA" };
const pairs = new Map();

function pair(name) {
  if (!pairs.has(name)) {
    const made = {
      rsa: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
      ec: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
      ed: () => generateKeyPairSync("ed25519"),
    }[name.replace(/\d+$/, "")]();
    pairs.set(name, made);
  }
  return pairs.get(name);
}

const pem = (name) => pair(name).publicKey.export({ type: "spki", format: "pem" });
const base64 = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

function signature(key, message) {
  if (key === "none") return "";
  const [kind, secret] = key.split(/:(.*)/s, 2);
  if (kind === "secret") return createHmac("sha256", secret).update(message).digest("base64url");
  if (kind === "public") return createHmac("sha256", pem(secret)).update(message).digest("base64url");
  const hash = kind.startsWith("ed") ? null : "sha256";
  const options = { key: pair(key).privateKey, dsaEncoding: "ieee-p1363" };
  return sign(hash, Buffer.from(message), options).toString("base64url");
}

const tokens = {};
for (const { name, key, alg, kid, claims } of JSON.parse(process.argv[2])) {
  const named = alg ?? ALGORITHMS[key.replace(/\d+$/, "")] ?? "HS256";
  const message = `${base64({ alg: named, typ: "JWT", kid })}.${base64(claims)}`;
  tokens[name] = `${message}.${signature(key, message)}`;
}
const names = [...pairs.keys()];
const pems = Object.fromEntries(names.map((name) => [name, pem(name)]));
const jwks = Object.fromEntries(
  names.map((name) => [name, { ...pair(name).publicKey.export({ format: "jwk" }), kid: name, use: "sig" }]),
);
process.stdout.write(`${JSON.stringify({ tokens, pems, jwks })}\n`);
