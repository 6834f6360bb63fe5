//! Proofs of work: what a new account costs its device.

use nowrong_core::proof::ProofRule;
use nowrong_protocol::proof::{Challenge, Proof};

use super::*;

const JSON: (&str, &str) = ("content-type", "application/json");

const KEY: &str = "0123456789abcdef";

/// Little work, so that the tests are quick.
const RULE: ProofRule = ProofRule {
    work: 3,
    calm_per_minute: 60,
};

async fn asking() -> Api {
    Api::with(|state| state.limits.proof = RULE).await
}

fn body(name: &str, proof: Option<&str>) -> Value {
    let mut body = json!({ "name": name, "language": "en", "age_bracket": "18+" });
    if let Some(proof) = proof {
        body["proof"] = proof.into();
    }
    body
}

async fn register_with(api: &Api, key: Option<&str>, body: &Value) -> Answer {
    let key = key.map(|key| ("idempotency-key", key));
    let headers: Vec<_> = std::iter::once(JSON).chain(key).collect();
    api.send(request("POST", "/v1/users", &headers, body.to_string()))
        .await
}

async fn register(api: &Api, name: &str, proof: Option<&str>) -> Answer {
    register_with(api, Some(KEY), &body(name, proof)).await
}

/// The challenge of a problem that asks for a proof.
fn challenge(answer: &Answer) -> Challenge {
    assert_eq!(answer.status, 428);
    let document = answer.json();
    assert_eq!(document["name"], "PROOF_NEEDED");
    assert_eq!(document["code"], 208);
    let challenge = &document["challenge"];
    assert_eq!(challenge["searches"], 2);
    assert_eq!(challenge["expires_in_ms"], 600_000);
    let parsed = Challenge::from_text(&text(&challenge["text"])).unwrap();
    assert_eq!(challenge["work"], parsed.work);
    parsed
}

/// A key that the proof is not for: chance may let it solve the challenge for another one too.
fn another_key(proof: &Proof) -> String {
    let mut keys = (0..).map(|number| format!("fedcba9876543210{number}"));
    keys.find(|key| !proof.is_solved(key)).unwrap()
}

/// A proof for the key.
async fn proof(api: &Api) -> Proof {
    challenge(&register(api, "Robin", None).await)
        .solve(KEY)
        .unwrap()
}

#[tokio::test]
async fn an_account_costs_a_proof_for_its_key() {
    let api = asking().await;
    let solved = proof(&api).await;
    let proof = solved.to_text();
    let made = register(&api, "Robin", Some(&proof)).await;
    assert_eq!(made.status, 201);
    // The same request once more, as when the response was lost: the same account, no more work.
    let again = register(&api, "Robin", Some(&proof)).await;
    assert_eq!(again.status, 201);
    assert_eq!(again.json()["user"]["id"], made.json()["user"]["id"]);
    // But no second account: neither with the key nor with another one.
    assert_eq!(register(&api, "Ben", Some(&proof)).await.status, 422);
    let other = another_key(&solved);
    let other = register_with(&api, Some(&other), &body("Ben", Some(&proof))).await;
    challenge(&other);
}

#[tokio::test]
async fn a_name_that_is_taken_does_not_use_up_the_proof() {
    let api = asking().await;
    let first = proof(&api).await.to_text();
    assert_eq!(register(&api, "Robin", Some(&first)).await.status, 201);
    let key = "fedcba9876543210";
    let asked = register_with(&api, Some(key), &body("Robin", None)).await;
    let second = challenge(&asked).solve(key).unwrap().to_text();
    let taken = register_with(&api, Some(key), &body("Robin", Some(&second))).await;
    assert_eq!(taken.status, 409);
    let made = register_with(&api, Some(key), &body("Ben", Some(&second))).await;
    assert_eq!(made.status, 201);
}

#[tokio::test]
async fn whatever_is_wrong_with_a_proof_there_is_a_new_challenge() {
    let api = asking().await;
    let good = proof(&api).await;
    let other_server = asking().await;
    let foreign = proof(&other_server).await;
    let [first, second] = good.numbers;
    let mut unsolved = (0..).map(|number| Proof {
        numbers: [first.wrapping_add(number), second],
        ..good
    });
    let unsolved = unsolved.find(|proof| !proof.is_solved(KEY)).unwrap();
    let cheaper = Challenge {
        work: 1,
        ..good.challenge
    };
    let later = Challenge {
        expires_s: u32::MAX,
        ..good.challenge
    };
    let wrong = [
        foreign.to_text(),
        unsolved.to_text(),
        cheaper.solve(KEY).unwrap().to_text(),
        later.solve(KEY).unwrap().to_text(),
        String::new(),
        "x".repeat(58),
        good.to_text() + "x",
    ];
    for wrong in wrong {
        let answer = register(&api, "Robin", Some(&wrong)).await;
        assert_ne!(challenge(&answer).nonce, good.challenge.nonce, "{wrong}");
    }
    let answer = register_with(&api, None, &body("Robin", Some(&good.to_text()))).await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.json()["errors"][0]["field"], "Idempotency-Key");
    let answer = register_with(
        &api,
        Some(KEY),
        &json!({ "name": "Robin", "language": "en", "age_bracket": "18+", "proof": 5 }),
    )
    .await;
    assert_eq!(answer.status, 422);
}

#[tokio::test]
async fn a_challenge_is_good_for_ten_minutes_and_for_the_network_that_asked() {
    let api = asking().await;
    let good = proof(&api).await.to_text();
    let mut from_elsewhere = request(
        "POST",
        "/v1/users",
        &[JSON, ("idempotency-key", KEY)],
        body("Robin", Some(&good)).to_string(),
    );
    from(&mut from_elsewhere, "198.51.100.7:1");
    challenge(&api.send(from_elsewhere).await);
    // Some of the last second has passed since.
    api.advance(Duration::from_secs(598));
    assert_eq!(register(&api, "Robin", Some(&good)).await.status, 201);
    let api = asking().await;
    let late = proof(&api).await.to_text();
    api.advance(Duration::from_secs(600));
    challenge(&register(&api, "Robin", Some(&late)).await);
}

#[tokio::test]
async fn mistakes_in_the_fields_are_told_before_any_work() {
    let api = asking().await;
    assert_eq!(register(&api, "R", None).await.status, 422);
}

#[tokio::test]
async fn many_accounts_make_the_next_ones_dearer() {
    let api = Api::with(|state| {
        state.limits.proof = ProofRule {
            calm_per_minute: 1,
            ..RULE
        };
    })
    .await;
    for number in 0..3 {
        let key = format!("{KEY}{number}");
        let name = format!("Robin {}", ["a", "b", "c"][number]);
        let asked = register_with(&api, Some(&key), &body(&name, None)).await;
        let challenge = challenge(&asked);
        // A little of a second has passed since the others.
        assert_eq!(challenge.work, [3, 3, 5][number]);
        let proof = challenge.solve(&key).unwrap().to_text();
        let made = register_with(&api, Some(&key), &body(&name, Some(&proof))).await;
        assert_eq!(made.status, 201);
    }
    api.advance(Duration::from_secs(3 * 60));
    assert_eq!(challenge(&register(&api, "Later", None).await).work, 3);
}
