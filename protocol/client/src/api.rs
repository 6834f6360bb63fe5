//! REST: accounts, categories, and what is needed to open a connection.
//!
//! [`Api`] has the calls that need no account; [`User`] is an account with its tokens. Errors are
//! the server's problem documents (RFC 9457), typed.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nowrong_protocol::{ErrorCode, UserId, proof};
use reqwest::{Method, RequestBuilder, StatusCode, Url, header::ORIGIN};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::Mutex, time::Instant};

mod types;

pub use types::{
    Account, AccountChange, Category, Challenge, Connect, Endpoint, FieldProblem, NewAccount,
    Problem,
};
use types::{Categories, LogOut, RecoveryCode, RefreshToken, Registered, Registering, Tokens};

/// Time for one request, from its first byte to the last of its answer.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// Pause before a registration is sent for the second time; it doubles with each further time.
const REGISTER_PAUSE: Duration = Duration::from_millis(250);

/// The last attempt of a registration begins at most this long after the first: a little longer than
/// one attempt takes, so that one that gets no answer at all is repeated once.
const LAST_ATTEMPT: Duration = Duration::from_secs(11);

/// Proofs that are made for one registration: more than one is needed when the network changes or the
/// challenge expires meanwhile.
const PROOFS_MAX: usize = 3;

/// Random bytes in the key of a registration.
const KEY_BYTES: usize = 24;

/// The header with the key of a registration.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A server, seen without an account. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Api {
    http: reqwest::Client,
    base: Url,
    origin: Option<String>,
}

/// An account on a server. Cheap to clone; the clones share the tokens, which renew themselves.
#[derive(Clone, Debug)]
pub struct User {
    api: Api,
    account: Arc<Account>,
    tokens: Arc<Mutex<Tokens>>,
}

/// Why a request failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The server refused and gave a reason.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// The server could not be reached, or its response was not as specified.
    #[error("the server cannot be reached: {0}")]
    Unreachable(Arc<reqwest::Error>),
    /// The address is not an `http` or `https` URL.
    #[error("`{0}` is not an http or https address")]
    BadAddress(String),
}

impl ApiError {
    /// The error code, when the server gave one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(problem) => Some(problem.code),
            _ => None,
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Refused(problem) => problem.code.is_temporary(),
            Self::Unreachable(_) => true,
            Self::BadAddress(_) => false,
        }
    }

    /// Whether the server may have done what was asked, or will do it in a moment.
    fn is_unknown(&self) -> bool {
        self.is_temporary() && self.code() != Some(ErrorCode::RATE_LIMITED)
    }
}

impl From<reqwest::Error> for ApiError {
    fn from(error: reqwest::Error) -> Self {
        Self::Unreachable(Arc::new(error))
    }
}

impl Api {
    /// The server at `address`, such as `http://127.0.0.1:8080`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ApiError::BadAddress`].
    pub fn new(address: &str) -> Result<Self, ApiError> {
        let base = Url::parse(address)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"));
        let base = base.ok_or_else(|| ApiError::BadAddress(address.to_owned()))?;
        let http = reqwest::Client::builder()
            .timeout(REQUEST_DEADLINE)
            .build()?;
        Ok(Self {
            http,
            base,
            origin: None,
        })
    }

    /// The same server, with this `Origin` sent in every request, as a page would.
    pub fn with_origin(self, origin: impl Into<String>) -> Self {
        Self {
            origin: Some(origin.into()),
            ..self
        }
    }

    /// Creates an account, and does the work that the server asks for. Sends the request again, under the
    /// same key, while its outcome is unknown, for about 20 seconds.
    ///
    /// # Errors
    /// [`ApiError`]; a taken name is `NAME_TAKEN`, an invalid field is named in the problem.
    pub async fn register(&self, account: &NewAccount) -> Result<User, ApiError> {
        let key = URL_SAFE_NO_PAD.encode(rand::random::<[u8; KEY_BYTES]>());
        let mut proof = None;
        for _ in 0..PROOFS_MAX {
            let registered = self.register_with(account, &key, proof.as_deref()).await;
            let challenge = match registered {
                Err(ApiError::Refused(problem)) if problem.challenge.is_some() => problem,
                outcome => return outcome,
            };
            match solved(&challenge, &key).await {
                Some(solved) => proof = Some(solved),
                None => return Err(ApiError::Refused(challenge)),
            }
        }
        self.register_with(account, &key, proof.as_deref()).await
    }

    async fn register_with(
        &self,
        account: &NewAccount,
        key: &str,
        proof: Option<&str>,
    ) -> Result<User, ApiError> {
        let last_at = Instant::now() + LAST_ATTEMPT;
        let mut pause = REGISTER_PAUSE;
        let body = Registering { account, proof };
        loop {
            let request = self.request(Method::POST, "/v1/users");
            let request = request.header(IDEMPOTENCY_KEY, key).json(&body);
            match answer(request).await {
                Ok(Registered { user, tokens }) => return Ok(self.user_with(user, tokens)),
                Err(error) if error.is_unknown() && Instant::now() + pause < last_at => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// An account that was registered before, by its refresh token.
    ///
    /// # Errors
    /// [`ApiError`]; `REFRESH_REFUSED` when the token is unknown, used or expired.
    pub async fn user(&self, refresh_token: &str) -> Result<User, ApiError> {
        let tokens = self.refresh(refresh_token).await?;
        let me = self
            .request(Method::GET, "/v1/me")
            .bearer_auth(&tokens.access_token);
        let account = answer(me).await?;
        Ok(self.user_with(account, tokens))
    }

    /// An account by its recovery code, in whatever case and with whatever hyphens. All tokens of the
    /// account that were issued before are revoked.
    ///
    /// # Errors
    /// [`ApiError`]; `REFRESH_REFUSED` when no account has this code.
    pub async fn recover(&self, recovery_code: &str) -> Result<User, ApiError> {
        let body = RecoveryCode {
            recovery_code: recovery_code.into(),
        };
        let request = self.request(Method::POST, "/v1/auth/recover").json(&body);
        let Registered { user, tokens } = answer(request).await?;
        Ok(self.user_with(user, tokens))
    }

    /// All categories, in their order.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn categories(&self) -> Result<Vec<Category>, ApiError> {
        let listed: Categories = answer(self.request(Method::GET, "/v1/categories")).await?;
        Ok(listed.categories)
    }

    async fn refresh(&self, refresh_token: &str) -> Result<Tokens, ApiError> {
        let body = RefreshToken { refresh_token };
        answer(self.request(Method::POST, "/v1/auth/refresh").json(&body)).await
    }

    fn user_with(&self, account: Account, tokens: Tokens) -> User {
        User {
            api: self.clone(),
            account: Arc::new(account),
            tokens: Arc::new(Mutex::new(tokens)),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(path);
        let request = self.http.request(method, url);
        match &self.origin {
            Some(origin) => request.header(ORIGIN, origin),
            None => request,
        }
    }
}

impl User {
    /// The account's id.
    pub fn id(&self) -> UserId {
        self.account.id
    }

    /// The account as it was when this value was made.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The server that the account is on.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The same account, with requests sent to another node of the server; shares the tokens.
    pub fn at(&self, api: &Api) -> Self {
        Self {
            api: api.clone(),
            ..self.clone()
        }
    }

    /// The token with which another process can use the account again, through [`Api::user`]. It is
    /// secret, and the next refresh replaces it.
    pub async fn refresh_token(&self) -> String {
        self.tokens.lock().await.refresh_token.clone()
    }

    /// The account as the server has it.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn me(&self) -> Result<Account, ApiError> {
        self.ask(Method::GET, "/v1/me", None::<&()>).await
    }

    /// Changes the account and returns it as it is afterwards.
    ///
    /// # Errors
    /// [`ApiError`]; as for [`Api::register`].
    pub async fn update(&self, change: &AccountChange) -> Result<Account, ApiError> {
        self.ask(Method::PATCH, "/v1/me", Some(change)).await
    }

    /// Removes the account and everything that belongs to it.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete(&self) -> Result<(), ApiError> {
        let response = self.send(Method::DELETE, "/v1/me", None::<&()>).await?;
        check(response).await.map(drop)
    }

    /// All that the server holds of the account, as the JSON document that it sends. Six an hour.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn export(&self) -> Result<serde_json::Value, ApiError> {
        self.ask(Method::GET, "/v1/me/export", None::<&()>).await
    }

    /// Makes a recovery code, for [`Api::recover`], in place of the one before. It is never shown again.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn make_recovery_code(&self) -> Result<String, ApiError> {
        let made: RecoveryCode = self
            .ask(Method::POST, "/v1/me/recovery", None::<&()>)
            .await?;
        Ok(made.recovery_code)
    }

    /// Removes the recovery code, if there is one: from then on nobody can come back to the account without
    /// its tokens.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn remove_recovery_code(&self) -> Result<(), ApiError> {
        let response = self
            .send(Method::DELETE, "/v1/me/recovery", None::<&()>)
            .await?;
        check(response).await.map(drop)
    }

    /// Logs out: this device, or `everywhere`. When no device is left, nobody can come back to the account.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn log_out(&self, everywhere: bool) -> Result<(), ApiError> {
        let body = LogOut {
            refresh_token: &self.refresh_token().await,
            everywhere,
        };
        let request = self.api.request(Method::POST, "/v1/auth/logout");
        check(request.json(&body).send().await?).await.map(drop)
    }

    /// Asks for a node to connect to and a token to open the connection with.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn connect(&self) -> Result<Connect, ApiError> {
        self.ask(Method::POST, "/v1/connect", None::<&()>).await
    }

    async fn ask<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, ApiError> {
        let response = self.send(method, path, body).await?;
        Ok(check(response).await?.json().await?)
    }

    /// Sends the request with the access token, and once more with a new token if that one has
    /// expired.
    async fn send<B: Serialize + ?Sized>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<reqwest::Response, ApiError> {
        let access_token = self.tokens.lock().await.access_token.clone();
        let request = |token: &str| {
            let request = self.api.request(method.clone(), path).bearer_auth(token);
            match body {
                Some(body) => request.json(body),
                None => request,
            }
        };
        let response = request(&access_token).send().await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let access_token = self.renew(&access_token).await?;
        Ok(request(&access_token).send().await?)
    }

    /// A new access token. The lock is held during the request: a refresh token can be used only
    /// once, so the clones of a user take turns, and the second clone finds the token that the
    /// first one got.
    async fn renew(&self, expired: &str) -> Result<String, ApiError> {
        let mut tokens = self.tokens.lock().await;
        if tokens.access_token == expired {
            *tokens = self.api.refresh(&tokens.refresh_token).await?;
        }
        Ok(tokens.access_token.clone())
    }
}

/// The proof for the challenge of a problem; `None` when this version cannot read the challenge. The work is done on
/// a thread for such things.
async fn solved(problem: &Problem, key: &str) -> Option<String> {
    let challenge = problem.challenge.as_ref()?;
    let challenge = proof::Challenge::from_text(&challenge.text).ok()?;
    let key = key.to_owned();
    let solving = tokio::task::spawn_blocking(move || challenge.solve(&key));
    Some(solving.await.ok()??.to_text())
}

async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, ApiError> {
    Ok(check(request.send().await?).await?.json().await?)
}

/// The response, unless it is a problem document.
async fn check(response: reqwest::Response) -> Result<reqwest::Response, ApiError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let failed = response.error_for_status_ref().err();
    match (response.json::<Problem>().await, failed) {
        (Ok(problem), _) => Err(ApiError::Refused(Box::new(problem))),
        (Err(_), Some(failed)) => Err(failed.into()),
        (Err(garbled), None) => Err(garbled.into()),
    }
}
