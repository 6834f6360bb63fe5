//! What of a folder is public: regular files that lie in it, also after all links are followed, and that
//! no segment of the path hides with a dot in front.
//!
//! Everything else does not exist, whatever it is. `.well-known` is the one folder with a dot that the
//! web knows (RFC 8615). The folder itself may be a link that is changed while the server runs: it is
//! followed for each request, but what is private stays so, wherever it leads.

use std::{
    fs::{self, Metadata},
    future::{Ready, ready},
    io::{self, SeekFrom},
    path::{Component, Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use nowrong_base::files;
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};
use tower_http::services::fs::{Backend, File};

/// The one name with a dot in front that is not hidden.
const WELL_KNOWN: &str = ".well-known";

/// The public part of a folder.
#[derive(Clone, Debug)]
pub(super) struct Public {
    /// As [`tower_http::services::ServeDir`] begins its paths.
    base: PathBuf,
    /// What is never public.
    never: Arc<[PathBuf]>,
}

/// An open file of the folder.
pub(super) struct PublicFile {
    file: tokio::fs::File,
    metadata: Metadata,
}

impl Public {
    /// The public part of `root`.
    pub(super) fn of(root: &Path, never: &Arc<[PathBuf]>) -> Self {
        Self {
            base: Path::new(".").join(root),
            never: never.clone(),
        }
    }

    /// Where `path` leads, and what is there, if that is public.
    fn find(&self, path: &Path) -> io::Result<(PathBuf, Metadata)> {
        let nothing = || io::Error::from(io::ErrorKind::NotFound);
        let asked = path.strip_prefix(&self.base).map_err(|_| nothing())?;
        let (root, place) = (self.base.canonicalize()?, path.canonicalize()?);
        let inside = place.strip_prefix(&root).map_err(|_| nothing())?;
        let is_private = |path: &Path| self.never.iter().any(|never| path.starts_with(never));
        // Where a private path was a link at the start, its place may be another one by now.
        let is_private = is_private(&place) || is_private(&root.join(asked));
        if is_private || is_hidden(asked) || is_hidden(inside) {
            return Err(nothing());
        }
        let metadata = fs::metadata(&place)?;
        match metadata.is_dir() || metadata.is_file() {
            true => Ok((place, metadata)),
            false => Err(nothing()),
        }
    }

    fn open_file(&self, path: &Path) -> io::Result<(fs::File, Metadata)> {
        let (place, _) = self.find(path)?;
        match files::open(&place) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                Err(io::ErrorKind::NotFound.into())
            }
            opened => opened,
        }
    }

    /// The metadata of a folder, or of a file that could be opened: so HEAD and GET agree.
    fn look(&self, path: &Path) -> io::Result<Metadata> {
        let (_, metadata) = self.find(path)?;
        match metadata.is_dir() {
            true => Ok(metadata),
            false => self.open_file(path).map(|(_, metadata)| metadata),
        }
    }
}

impl Backend for Public {
    type File = PublicFile;
    type Metadata = Metadata;
    type OpenFuture = BoxFuture<'static, io::Result<PublicFile>>;
    type MetadataFuture = BoxFuture<'static, io::Result<Metadata>>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        let public = self.clone();
        Box::pin(async move {
            let (file, metadata) = off_the_runtime(move || public.open_file(&path)).await?;
            let file = tokio::fs::File::from_std(file);
            Ok(PublicFile { file, metadata })
        })
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        let public = self.clone();
        Box::pin(off_the_runtime(move || public.look(&path)))
    }
}

impl File for PublicFile {
    type Metadata = Metadata;
    type MetadataFuture<'a> = Ready<io::Result<Metadata>>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        ready(Ok(self.metadata.clone()))
    }
}

impl AsyncRead for PublicFile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.file).poll_read(cx, buffer)
    }
}

impl AsyncSeek for PublicFile {
    fn start_seek(mut self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.file).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.file).poll_complete(cx)
    }
}

async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|failed| Err(io::Error::other(failed)))
}

/// Whether a segment of the path begins with a dot.
fn is_hidden(path: &Path) -> bool {
    path.components().any(|segment| match segment {
        Component::Normal(name) => name.as_encoded_bytes().starts_with(b".") && name != WELL_KNOWN,
        _ => false,
    })
}
