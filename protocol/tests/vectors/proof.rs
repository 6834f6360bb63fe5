//! Proofs of work: `{ name, key, challenge, work, proof }`, each search with the first number that ends it.

use nowrong_protocol::proof::{Challenge, Proof};
use serde_json::{Value, json};

use super::{hold, load};

fn proofs() -> Vec<Value> {
    let key = |length: usize| "0123456789abcdef!~".chars().cycle().take(length).collect();
    let cases: [(&str, u16, u8, String); 4] = [
        ("no_work", 1, 0, key(16)),
        ("little_work", 7, 1, key(32)),
        ("all_bits_and_longest_key", 20, 255, key(64)),
        ("work_of_calm_times", 200, 9, key(32)),
    ];
    let vector = |(name, work, fill, key): (&str, u16, u8, String)| {
        let challenge = Challenge {
            work,
            expires_s: 1_900_000_000,
            nonce: [fill; 11],
            mac: [fill; 16],
        };
        let proof = challenge.solve(&key).unwrap().to_text();
        json!({ "name": name, "key": key, "challenge": challenge.to_text(), "work": work, "proof": proof })
    };
    cases.into_iter().map(vector).collect()
}

#[test]
fn proofs_are_those_of_the_file() {
    hold("proof.json", &proofs());
    for vector in load("proof.json") {
        let text = |name: &str| vector[name].as_str().unwrap().to_owned();
        let proof = Proof::from_text(&text("proof")).unwrap();
        assert!(proof.is_solved(&text("key")), "{}", vector["name"]);
        assert_eq!(proof.challenge.to_text(), text("challenge"));
        assert_eq!(vector["work"], proof.challenge.work);
    }
}
