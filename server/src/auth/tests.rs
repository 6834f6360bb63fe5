//! Tokens and keys: which are valid, which are refused, what a restart keeps, what nodes share.

use std::{fs, net::IpAddr, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use nowrong_base::privacy::{ClientIp, PseudonymKey, Redacted};
use nowrong_core::record::UnixMs;
use nowrong_protocol::UserId;
use nowrong_store::secrets::{SecretStore as _, SharedKey};
use nowrong_store_mongodb::{
    MongoStore, migration,
    testing::{open, shared},
};
use serde_json::{Value, json};

use super::{
    ACCESS_LIFETIME, AccessTokens, AuthError, Holder,
    keys::{
        SigningKeys,
        shared::{PUBLISHED_BEFORE, SharedKeys},
    },
    token::{OpaqueToken, token_hash},
};

const NOW: UnixMs = 1_800_000_000_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn user() -> Holder {
    Holder {
        user: UserId::v7(NOW, &[7; 10]),
        generation: 3,
    }
}

fn tokens() -> AccessTokens {
    AccessTokens::new(SigningKeys::in_memory(NOW).unwrap())
}

fn claims() -> Value {
    let (iat, exp) = (NOW / 1_000, NOW / 1_000 + 600);
    json!({ "iss": "nowrong", "aud": "nowrong-api", "sub": user().user.to_string(), "iat": iat, "exp": exp })
}

/// A token with these claims, signed with the right key.
fn signed(tokens: &AccessTokens, kid: Option<&str>, claims: &Value) -> String {
    let header = Header {
        kid: kid.map(str::to_owned),
        ..Header::new(Algorithm::EdDSA)
    };
    encode(&header, claims, &tokens_key(tokens)).unwrap()
}

fn tokens_key(tokens: &AccessTokens) -> EncodingKey {
    super::access::tests_only_key(tokens)
}

/// The key that signs at this time.
fn kid(tokens: &AccessTokens, now: UnixMs) -> String {
    let token = tokens.issue(user(), now).unwrap();
    jsonwebtoken::decode_header(token.expose())
        .unwrap()
        .kid
        .unwrap()
}

#[test]
fn a_token_is_good_until_it_lapses() {
    let tokens = tokens();
    let token = tokens.issue(user(), NOW).unwrap();
    let lapses = NOW + ACCESS_LIFETIME.as_millis() as u64;
    assert_eq!(tokens.verify(token.expose(), NOW).unwrap(), user());
    assert_eq!(tokens.verify(token.expose(), lapses - 1).unwrap(), user());
    assert!(matches!(
        tokens.verify(token.expose(), lapses),
        Err(AuthError::Refused)
    ));
}

#[test]
fn a_token_without_a_generation_is_of_the_first_one_and_a_wrong_one_is_refused() {
    let tokens = tokens();
    let kid = kid(&tokens, NOW);
    let verify = |claims: &Value| tokens.verify(&signed(&tokens, Some(&kid), claims), NOW);
    assert_eq!(verify(&claims()).unwrap().generation, 0);
    for wrong in [json!(-1), json!("3"), json!(null), json!(1.5)] {
        let mut changed = claims();
        changed["gen"] = wrong;
        assert!(verify(&changed).is_err(), "{changed}");
    }
}

#[test]
fn every_other_claim_is_refused() {
    let tokens = tokens();
    let kid = kid(&tokens, NOW);
    assert!(
        tokens
            .verify(&signed(&tokens, Some(&kid), &claims()), NOW)
            .is_ok()
    );
    let changes: [(&str, Value); 11] = [
        ("aud", json!("another-api")),
        ("aud", json!(["another-api"])),
        ("aud", Value::Null),
        ("iss", json!("somebody")),
        ("iss", Value::Null),
        ("sub", json!("not an id")),
        ("sub", Value::Null),
        ("exp", json!(NOW / 1_000)),
        ("exp", json!(-1)),
        ("exp", json!("never")),
        ("exp", Value::Null),
    ];
    for (claim, value) in changes {
        let mut changed = claims();
        changed[claim] = value.clone();
        if value.is_null() {
            changed.as_object_mut().unwrap().remove(claim);
        }
        let token = signed(&tokens, Some(&kid), &changed);
        assert!(tokens.verify(&token, NOW).is_err(), "{claim} {value}");
    }
}

#[test]
fn the_key_must_be_named_and_known() {
    let tokens = tokens();
    for kid in [None, Some(""), Some("another")] {
        assert!(
            tokens
                .verify(&signed(&tokens, kid, &claims()), NOW)
                .is_err(),
            "{kid:?}"
        );
    }
    let other = AccessTokens::new(SigningKeys::in_memory(NOW).unwrap());
    let theirs = other.issue(user(), NOW).unwrap();
    assert!(
        tokens.verify(theirs.expose(), NOW).is_err(),
        "another server's token"
    );
    let forged = signed(&other, Some(&kid(&tokens, NOW)), &claims());
    assert!(
        tokens.verify(&forged, NOW).is_err(),
        "another key under our kid"
    );
}

#[test]
fn another_algorithm_is_refused() {
    let tokens = tokens();
    let kid = kid(&tokens, NOW);
    let public = super::access::tests_only_public(&tokens);
    let body = URL_SAFE_NO_PAD.encode(claims().to_string());
    for alg in ["none", "None", "HS256", "EdDSA", "ES256"] {
        let header = json!({ "typ": "JWT", "alg": alg, "kid": kid }).to_string();
        let token = format!("{}.{body}.", URL_SAFE_NO_PAD.encode(header));
        assert!(
            tokens.verify(&token, NOW).is_err(),
            "{alg} without a signature"
        );
    }
    for algorithm in [Algorithm::HS256, Algorithm::HS512] {
        let header = Header {
            kid: Some(kid.clone()),
            ..Header::new(algorithm)
        };
        let token = encode(&header, &claims(), &EncodingKey::from_secret(&public)).unwrap();
        assert!(
            tokens.verify(&token, NOW).is_err(),
            "{algorithm:?} with the public key"
        );
    }
}

#[test]
fn a_changed_or_mangled_token_is_refused() {
    let tokens = tokens();
    let token = tokens.issue(user(), NOW).unwrap().into_exposed();
    let parts: Vec<&str> = token.split('.').collect();
    let admin = claims().to_string().replace(
        &user().user.to_string(),
        &UserId::v7(0, &[1; 10]).to_string(),
    );
    let mangled = [
        String::new(),
        "..".to_owned(),
        "Bearer".to_owned(),
        format!("{}.{}", parts[0], parts[1]),
        format!(
            "{}.{}.{}",
            parts[0],
            URL_SAFE_NO_PAD.encode(admin),
            parts[2]
        ),
        format!("{token}A"),
        format!("{token}."),
        token.to_uppercase(),
        token.repeat(10),
    ];
    for token in mangled {
        assert!(tokens.verify(&token, NOW).is_err(), "{token}");
    }
}

#[test]
fn a_restart_keeps_the_key_and_age_replaces_it() {
    let folder = tempfile::tempdir().unwrap();
    let start = |now| {
        let keys = SigningKeys::in_folder(folder.path(), 30 * DAY, now).unwrap();
        AccessTokens::new(keys)
    };
    let first = start(NOW);
    let month = 30 * DAY.as_millis() as u64;
    let rotated_at = NOW + month;
    let just_before = first.issue(user(), rotated_at - 1_000).unwrap();
    let again = start(rotated_at - 1);
    assert_eq!(
        kid(&again, rotated_at - 1),
        kid(&first, NOW),
        "a restart keeps the key"
    );
    let second = start(rotated_at);
    assert_ne!(
        kid(&second, rotated_at),
        kid(&first, NOW),
        "an old key is replaced"
    );
    assert!(
        second.verify(just_before.expose(), rotated_at).is_ok(),
        "its tokens stay good"
    );
    let third = start(rotated_at + 1);
    assert!(
        third.verify(just_before.expose(), rotated_at + 1).is_ok(),
        "also after a restart"
    );
    let later = rotated_at + ACCESS_LIFETIME.as_millis() as u64;
    let mut long = claims();
    long["exp"] = json!(later);
    let stolen = signed(&first, Some(&kid(&first, NOW)), &long);
    assert!(third.verify(&stolen, later - 1).is_ok());
    assert!(
        third.verify(&stolen, later).is_err(),
        "the replaced key checks nothing any more"
    );
}

#[tokio::test]
async fn a_command_replaces_the_key_of_a_node_that_runs_and_no_token_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let error = SigningKeys::rotate_in_folder(path, NOW).unwrap_err();
    assert!(
        error.to_string().contains("start the server first"),
        "{error}"
    );
    let keys = SigningKeys::in_folder(path, 30 * DAY, NOW).unwrap();
    let node = AccessTokens::in_folder(keys, path.to_owned());
    let first = kid(&node, NOW);
    assert!(SigningKeys::rotate_in_folder(path, NOW).unwrap());
    assert!(
        !SigningKeys::rotate_in_folder(path, NOW + 1).unwrap(),
        "once is enough"
    );
    let signs_at = NOW + PUBLISHED_BEFORE.as_millis() as u64;
    let lapses_at = signs_at + ACCESS_LIFETIME.as_millis() as u64;
    node.reread(NOW + 60_000).await.unwrap();
    assert_eq!(kid(&node, signs_at - 1), first);
    let last = node.issue(user(), signs_at - 1).unwrap();
    let second = kid(&node, signs_at);
    assert_ne!(second, first);
    // Again at once: both keys before go on as long as their tokens.
    assert!(SigningKeys::rotate_in_folder(path, signs_at).unwrap());
    node.reread(lapses_at - 1_000).await.unwrap();
    let newer = node.issue(user(), signs_at).unwrap();
    for token in [&last, &newer] {
        assert!(node.verify(token.expose(), lapses_at - 2_000).is_ok());
    }
    let again = SigningKeys::in_folder(path, 30 * DAY, lapses_at).unwrap();
    let again = AccessTokens::new(again);
    assert_ne!(kid(&again, lapses_at), second);
    let mut long = claims();
    long["exp"] = json!(lapses_at);
    let stolen = signed(&tokens(), Some(&first), &long);
    assert!(
        again.verify(&stolen, lapses_at).is_err(),
        "the first key is gone"
    );
    fs::write(path.join("signing-keys.json"), "{").unwrap();
    assert!(node.reread(NOW).await.is_err());
    assert!(
        node.verify(newer.expose(), signs_at).is_ok(),
        "the known keys stay in use"
    );
}

#[test]
fn damaged_or_unwritable_keys_are_an_error_that_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("signing-keys.json");
    for content in [
        "",
        "{}",
        r#"{"keys":[{"seed":"c2VjcmV0","created_at":1}]}"#,
        r#"{"keys":[{"seed":5}]}"#,
    ] {
        fs::write(&file, content).unwrap();
        let error = SigningKeys::in_folder(folder.path(), DAY, NOW)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("signing-keys.json: it is damaged"),
            "{error}"
        );
        assert!(!error.contains("c2VjcmV0"), "{error}");
    }
    let error = SigningKeys::in_folder(&file, DAY, NOW).unwrap_err();
    assert!(matches!(error, AuthError::Keys(_)), "{error}");
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_the_keys() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    SigningKeys::in_folder(folder.path(), DAY, NOW).unwrap();
    let file = fs::metadata(folder.path().join("signing-keys.json")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
}

/// A node that has just started on `store`.
async fn node(store: &Arc<MongoStore>, now: UnixMs) -> (AccessTokens, PseudonymKey) {
    let shared = SharedKeys::new(store.clone(), 30 * DAY);
    let (keys, pseudonyms) = shared.read(now).await.unwrap();
    (AccessTokens::shared(keys, shared), pseudonyms)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_take_each_others_tokens() {
    let store = Arc::new(open(&shared()).await);
    migration::up(store.database()).await.unwrap();
    let nodes = futures_util::future::join_all((0..4).map(|_| node(&store, NOW))).await;
    let ip = ClientIp::from("192.0.2.1".parse::<IpAddr>().unwrap());
    for (one, pseudonym) in &nodes {
        let token = one.issue(user(), NOW).unwrap();
        for (other, theirs) in &nodes {
            assert_eq!(other.verify(token.expose(), NOW).unwrap(), user());
            assert_eq!(ip.limiter_key(pseudonym), ip.limiter_key(theirs));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_shared_key_is_known_before_it_signs_and_looked_for_when_it_is_not() {
    let store = Arc::new(open(&shared()).await);
    migration::up(store.database()).await.unwrap();
    let ((one, _), (other, _)) = (node(&store, NOW).await, node(&store, NOW).await);
    let published = NOW + 30 * DAY.as_millis() as u64;
    one.reread(published).await.unwrap();
    let token = one.issue(user(), published).unwrap();
    assert!(
        other.verify(token.expose(), published).is_ok(),
        "the new key does not sign yet"
    );
    let signs = published + PUBLISHED_BEFORE.as_millis() as u64;
    let token = one.issue(user(), signs).unwrap();
    assert!(other.verify(token.expose(), signs).is_err(), "not read yet");

    let stranger = AccessTokens::new(SigningKeys::in_memory(NOW).unwrap());
    let foreign = stranger.issue(user(), signs).unwrap();
    assert!(one.authenticate(foreign.expose(), signs).await.is_err());
    let (third, _) = node(&store, signs).await;
    assert!(third.authenticate(token.expose(), signs).await.is_ok());
    assert!(other.authenticate(foreign.expose(), signs).await.is_err());
    assert!(
        other.verify(token.expose(), signs).is_ok(),
        "the look for the foreign key found this one"
    );

    // A shared key without the usual delay, which no node would publish, is found when it is
    // searched for, once a second.
    let mut secrets = store.secrets().await.unwrap().unwrap();
    secrets.revision += 1;
    let seed = Redacted::new([5; 32]);
    secrets.signing.insert(
        0,
        SharedKey {
            seed,
            signs_at: signs,
        },
    );
    assert!(store.put_secrets(&secrets).await.unwrap());
    let (late, _) = node(&store, signs).await;
    let token = late.issue(user(), signs).unwrap();
    let again = other.authenticate(token.expose(), signs + 999).await;
    assert!(again.is_err(), "a look a second");
    let again = other.authenticate(token.expose(), signs + 1_000).await;
    assert!(again.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_replaces_the_shared_key_for_all_nodes_and_no_token_is_refused() {
    let store = Arc::new(open(&shared()).await);
    migration::up(store.database()).await.unwrap();
    assert!(
        SharedKeys::rotate(&*store, NOW).await.is_err(),
        "no keys yet"
    );
    let ((one, _), (other, _)) = (node(&store, NOW).await, node(&store, NOW).await);
    let first = kid(&one, NOW);
    assert!(SharedKeys::rotate(&*store, NOW).await.unwrap());
    assert!(!SharedKeys::rotate(&*store, NOW + 1).await.unwrap());
    for node in [&one, &other] {
        node.reread(NOW + 60_000).await.unwrap();
    }
    let signs_at = NOW + PUBLISHED_BEFORE.as_millis() as u64;
    assert_eq!(kid(&one, signs_at - 1), first);
    assert_ne!(kid(&one, signs_at), first);
    assert_eq!(kid(&one, signs_at), kid(&other, signs_at));
    let before = one.issue(user(), signs_at - 1).unwrap();
    assert!(other.verify(before.expose(), signs_at + 1).is_ok());
}

#[test]
fn opaque_tokens_are_256_random_bits_and_stored_by_hash() {
    let (one, other) = (
        OpaqueToken::generate().unwrap(),
        OpaqueToken::generate().unwrap(),
    );
    assert_ne!(one.text, other.text);
    let bytes = URL_SAFE_NO_PAD.decode(one.text.expose()).unwrap();
    assert_eq!(bytes.len(), 32);
    assert_eq!(one.hash, token_hash(one.text.expose()));
    assert!(!format!("{one:?}").contains(one.text.expose()));
}

#[test]
fn the_successor_of_a_token_is_always_the_same_and_needs_the_secret_of_the_family() {
    let first = OpaqueToken::generate().unwrap();
    let next = OpaqueToken::successor(first.text.expose(), &[1; 16]);
    let again = OpaqueToken::successor(first.text.expose(), &[1; 16]);
    assert_eq!((&again.text, again.hash), (&next.text, next.hash));
    let others = [
        OpaqueToken::successor(first.text.expose(), &[2; 16]),
        OpaqueToken::successor(next.text.expose(), &[1; 16]),
        OpaqueToken::successor("", &[1; 16]),
    ];
    assert!(others.iter().all(|other| other.text != next.text));
    assert_eq!(
        URL_SAFE_NO_PAD.decode(next.text.expose()).unwrap().len(),
        32
    );
}
