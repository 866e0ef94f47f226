//! The thread that owns a loaded model and its contexts.
//!
//! llama.cpp's contexts borrow their model and may not be made at the same time; all live on
//! one thread, and jobs come through a channel. Dropping the [`Worker`] ends it.

use super::slots::{Shape, Slots};
use crate::{
    ChatTemplate, ModelError, OpenOptions, SampleRequest, Sampled, ScoreRequest, Scored, cache::hex,
};
use llama_cpp_2::{
    llama_backend::LlamaBackend,
    model::{LlamaModel, params::LlamaModelParams},
};
use sha2::{Digest, Sha256};
use std::{
    path::{Path, PathBuf},
    sync::{OnceLock, mpsc},
    thread::JoinHandle,
};

type Scores = Vec<Result<Scored, ModelError>>;
type Samples = Vec<Result<Sampled, ModelError>>;

/// What the thread is asked.
pub(super) enum Job {
    Score(Vec<ScoreRequest>, mpsc::Sender<Scores>),
    Sample(Vec<SampleRequest>, mpsc::Sender<Samples>),
}

/// A running thread.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// A thread that has loaded its model.
pub(super) struct Opened {
    pub(super) worker: Worker,
    pub(super) template_hash: String,
    pub(super) settings: String,
}

/// Template hash and settings, or why loading failed.
type Loaded = Result<(String, String), String>;

impl Worker {
    pub(super) fn start(path: &Path, options: &OpenOptions) -> Result<Opened, String> {
        let (jobs, todo) = mpsc::channel();
        let (loaded, wait) = mpsc::channel();
        let (path, options) = (path.to_owned(), options.clone());
        let thread = std::thread::Builder::new()
            .name("stillwatch-gguf".to_owned())
            .spawn(move || {
                if let Err(what) = serve(&path, &options, &todo, &loaded) {
                    // Nobody listens any more when this fails.
                    loaded.send(Err(what)).unwrap_or_default();
                }
            })
            .map_err(|error| format!("can't start a thread: {error}"))?;
        let worker = Self { jobs: Some(jobs), thread: Some(thread) };
        let (template_hash, settings) =
            wait.recv().map_err(|_| "llama.cpp stopped while loading".to_owned())??;
        Ok(Opened { worker, template_hash, settings })
    }

    /// `None` when the thread has died.
    pub(super) fn send(&self, job: Job) -> Option<()> {
        self.jobs.as_ref()?.send(job).ok()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told when its answer didn't come.
            thread.join().unwrap_or_default();
        }
    }
}

/// The one initialisation of llama.cpp in this process, with its logging off.
fn backend() -> Result<&'static LlamaBackend, String> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    BACKEND
        .get_or_init(|| {
            let mut backend = LlamaBackend::init().map_err(|error| error.to_string())?;
            backend.void_logs();
            Ok(backend)
        })
        .as_ref()
        .map_err(Clone::clone)
}

/// Loads, reports, and works until nobody sends any more.
fn serve(
    path: &PathBuf,
    options: &OpenOptions,
    todo: &mpsc::Receiver<Job>,
    loaded: &mpsc::Sender<Loaded>,
) -> Result<(), String> {
    let backend = backend()?;
    let model = LlamaModel::load_from_file(
        backend,
        path,
        &LlamaModelParams::default().with_n_gpu_layers(0),
    )
    .map_err(|error| format!("llama.cpp can't load it: {error}"))?;
    let template = template(path, &model)?;
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let shape = Shape::new(&model, threads, options.context_max);
    let template_hash = hex(&Sha256::digest(template.fingerprint()));
    let mut slots = Slots::new(backend, &model, &template, shape)?;
    if loaded.send(Ok((template_hash, shape.settings()))).is_err() {
        return Ok(());
    }
    for job in todo {
        // Whoever asked may have gone; the next one hasn't.
        match job {
            Job::Score(requests, answer) => {
                answer.send(slots.score(&requests)).unwrap_or_default();
            }
            Job::Sample(requests, answer) => {
                answer.send(slots.sample(&requests)).unwrap_or_default();
            }
        }
    }
    Ok(())
}

/// The template in the file's metadata, or the plain one.
fn template(path: &Path, model: &LlamaModel) -> Result<ChatTemplate, String> {
    let origin = path.display().to_string();
    let vocab = model.vocab();
    let text = |token| {
        let text = vocab.text(token)?;
        Some(text.to_string_lossy().into_owned())
    };
    // A file without the token has -1 there, which has no text.
    let special = |token: llama_cpp_2::token::LlamaToken| {
        if token.0 < 0 { None } else { text(token) }.unwrap_or_default()
    };
    let template = match model.chat_template(None) {
        Err(_) => ChatTemplate::plain(origin),
        Ok(found) => {
            let source = found.to_string().map_err(|error| format!("chat template: {error}"))?;
            ChatTemplate::new(origin, &source, &special(vocab.bos()), &special(vocab.eos()))
        }
    };
    template.map_err(|error| error.to_string())
}
