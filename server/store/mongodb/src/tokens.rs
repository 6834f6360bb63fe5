//! Refresh tokens. A token is valid while the document of its family exists, so revoking is a
//! single write and needs no search for the tokens of the family.

use mongodb::bson::doc;
use nowrong_core::record::{RefreshToken, TokenHash, UnixMs};
use nowrong_store::Rotation;

use super::{
    fault::Fault,
    record::{TokenRecord, alive, date, token_key, unix_ms},
    transaction::Transaction,
};

impl Transaction {
    pub(super) async fn create_refresh(&mut self, token: &RefreshToken) -> Result<(), Fault> {
        let tokens = self.shared.tokens.clone();
        let record = TokenRecord::from(token);
        let family = doc! { "_id": record.family_key() };
        self.put(&tokens, &[record]).await?;
        // The family is kept as long as its newest token.
        let longer = doc! { "$max": { "expiresAt": date(token.expires_at) } };
        let update = self.shared.families.update_one(family, longer);
        update.upsert(true).session(&mut self.session).await?;
        Ok(())
    }

    pub(super) async fn rotate_refresh(
        &mut self,
        used: &TokenHash,
        next: &RefreshToken,
        now: UnixMs,
        grace_ms: u64,
    ) -> Result<Rotation, Fault> {
        let (tokens, families) = (self.shared.tokens.clone(), self.shared.families.clone());
        let key = doc! { "_id": token_key(used) };
        let filter = doc! { "_id": token_key(used), "expiresAt": alive(now) };
        let Some(record) = self.one(&tokens, filter).await? else {
            return Ok(Rotation::Unknown);
        };
        let family = doc! { "_id": record.family_key() };
        if self.one(&families, family.clone()).await?.is_none() {
            return Ok(Rotation::Unknown);
        }
        let use_of_it = match record.replaced_at {
            None => doc! { "replacedAt": date(now) },
            Some(at) if !record.is_grace_used && now < unix_ms(at).saturating_add(grace_ms) => {
                doc! { "isGraceUsed": true }
            }
            Some(_) => {
                let delete = families.delete_one(family);
                delete.session(&mut self.session).await?;
                return Ok(Rotation::Reused);
            }
        };
        let update = tokens.update_one(key, doc! { "$set": use_of_it });
        update.session(&mut self.session).await?;
        self.create_refresh(next).await?;
        Ok(Rotation::Rotated)
    }
}
