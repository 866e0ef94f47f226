//! The question: a model of the registry, figures of one's own, or the first with the second.

use super::registry::{Figure, Gpu, Kind, KnownModel, Registry};
use super::{CostError, Precision, Range};

/// Utilisation of well-run training, share of the BF16 peak.
const MFU: Range = Range { low: 0.25, high: 0.45 };
/// Rent of an H100-class GPU, dollars per hour.
const RATE: Range = Range { low: 1.5, high: 4.0 };

/// What was asked, unchecked: everything is optional beside a model of the registry.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CostParams {
    /// A model of the registry.
    pub model: Option<String>,
    /// Parameters active for a token.
    pub params_active: Option<f64>,
    /// All parameters; absent: as many as are active.
    pub params_total: Option<f64>,
    /// Tokens of training.
    pub tokens: Option<f64>,
    /// Layers, for the attention term.
    pub layers: Option<f64>,
    /// Heads times head width, for the attention term.
    pub attention_width: Option<f64>,
    /// Tokens of a sequence, for the attention term.
    pub context: Option<f64>,
    /// The GPU.
    pub gpu: Option<String>,
    /// What `mfu` is a share of; absent: BF16.
    pub precision: Option<Precision>,
    /// Utilisation, share of the peak.
    pub mfu: Option<Range>,
    /// Dollars per GPU-hour.
    pub rate: Option<Range>,
    /// GPUs, for days.
    pub gpus: Option<f64>,
    /// GPU-hours of a claim.
    pub gpu_hours: Option<f64>,
    /// Dollars of a claim.
    pub usd: Option<f64>,
    /// A price of the registry to harvest at.
    pub teacher: Option<String>,
    /// Prompts of the harvest.
    pub harvest_prompts: Option<f64>,
    /// Tokens of a harvested answer.
    pub harvest_tokens: Option<Range>,
    /// Parameters of the student; absent: the active ones.
    pub student_params: Option<f64>,
}

/// A question that can be answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub(super) known: Option<KnownModel>,
    pub(super) gpu: Gpu,
    /// FLOP of 6·N·D, or as the registry has it.
    pub(super) flop: Option<f64>,
    /// FLOP of attention scores, if the shape is known.
    pub(super) flop_attention: Option<f64>,
    pub(super) params_active: Option<f64>,
    pub(super) tokens: Option<f64>,
    pub(super) precision: Precision,
    /// Peak that `mfu` is a share of, FLOP/s.
    pub(super) peak: f64,
    pub(super) mfu: Range,
    pub(super) rate: Range,
    pub(super) gpus: Option<f64>,
    pub(super) gpu_hours: Option<f64>,
    pub(super) pretrain_gpu_hours: Option<f64>,
    pub(super) claim_rate: Option<f64>,
    pub(super) usd: Option<f64>,
    pub(super) teachers: Vec<String>,
    pub(super) pages: Vec<String>,
    pub(super) prompts: f64,
    pub(super) answer_tokens: Range,
    pub(super) student_params: Option<f64>,
}

/// TFLOP to FLOP.
const TERA: f64 = 1e12;

impl CostParams {
    /// Checks every figure against what is possible.
    ///
    /// # Errors
    /// What is missing, unknown or impossible.
    pub fn check(&self, registry: &Registry) -> Result<Question, CostError> {
        let known = self.model.as_ref().map(|name| registry.model(name)).transpose()?;
        let value = |own: Option<f64>, of: fn(&KnownModel) -> Option<&Figure>| {
            own.or_else(|| known.and_then(of).map(|f| f.value))
        };
        let params_active = value(self.params_active, |m| m.params_active.as_ref());
        let params_total = value(self.params_total, |m| m.params_total.as_ref()).or(params_active);
        let tokens = value(self.tokens, |m| m.tokens.as_ref());
        let layers = value(self.layers, |m| m.layers.as_ref());
        let width = value(self.attention_width, |m| m.attention_width.as_ref());
        let context = value(self.context, |m| m.context.as_ref());
        self.positive(&[
            ("--params-active", params_active),
            ("--params-total", params_total),
            ("--tokens", tokens),
            ("--layers", layers),
            ("--attention-width", width),
            ("--context", context),
        ])?;
        if let (Some(active), Some(total)) = (params_active, params_total)
            && active > total
        {
            return Err(CostError::MoreActiveThanTotal);
        }
        let six = params_active.zip(tokens).map(|(n, d)| 6.0 * n * d);
        let flop = six.or_else(|| known.and_then(|m| m.flop.as_ref()).map(|f| f.value));
        if known.is_none() && flop.is_none() {
            let missing = if params_active.is_none() { "--params-active" } else { "--tokens" };
            return Err(CostError::Missing(missing));
        }
        let gpu = self.gpu.as_deref().or(known.map(|m| m.gpu.as_str()));
        let gpu = registry.gpu(gpu.ok_or(CostError::Missing("--gpu"))?)?.clone();
        let precision = self.precision.unwrap_or(Precision::Bf16);
        let peak = peak(&gpu, precision)?;
        let mfu = self.mfu.unwrap_or(MFU);
        if !(mfu.low > 0.0 && mfu.high <= 1.0) {
            return Err(CostError::Field {
                field: "--mfu",
                value: super::number::per_cent_range(mfu),
                expected: "a share of the peak above 0 and at most 1 (100%)",
            });
        }
        let attention = layers.zip(width).zip(context).zip(tokens);
        let own_claim = self.gpu_hours.is_some() || self.usd.is_some();
        let pretrain = known.and_then(|m| m.pretrain_gpu_hours.as_ref()).map(|f| f.value);
        let harvest = &registry.harvest;
        let teachers = match (&self.teacher, known) {
            (Some(name), _) => vec![registry.price(name)?.name.clone()],
            (None, Some(model)) if !model.teachers.is_empty() => model.teachers.clone(),
            _ => registry.price.iter().map(|p| p.name.clone()).collect(),
        };
        Ok(Question {
            known: known.cloned(),
            flop,
            // 12·L·d·s per token for scores and their use, forward and backward; causal: half.
            flop_attention: attention.map(|(((l, d), s), tokens)| 6.0 * l * d * s * tokens),
            params_active,
            tokens,
            precision,
            peak,
            mfu,
            rate: self.rate.unwrap_or(RATE),
            gpus: value(self.gpus, |m| m.gpus.as_ref()),
            gpu_hours: if own_claim {
                self.gpu_hours
            } else {
                known.and_then(|m| m.gpu_hours.as_ref()).map(|f| f.value)
            },
            pretrain_gpu_hours: if own_claim { None } else { pretrain },
            claim_rate: if self.rate.is_some() {
                None
            } else {
                known.and_then(|m| m.rate.as_ref()).map(|f| f.value)
            },
            usd: if own_claim {
                self.usd
            } else {
                known.and_then(|m| m.usd.as_ref()).map(|f| f.value)
            },
            teachers,
            pages: known.map(|m| m.pages.clone()).unwrap_or_default(),
            prompts: self.harvest_prompts.unwrap_or(harvest.prompts.value),
            answer_tokens: self.harvest_tokens.unwrap_or(Range {
                low: harvest.answer_tokens_low,
                high: harvest.answer_tokens_high,
            }),
            student_params: self.student_params.or(params_active),
            gpu,
        })
    }

    fn positive(&self, more: &[(&'static str, Option<f64>)]) -> Result<(), CostError> {
        let own = [
            ("--gpus", self.gpus),
            ("--gpu-hours", self.gpu_hours),
            ("--usd", self.usd),
            ("--harvest-prompts", self.harvest_prompts),
            ("--student-params", self.student_params),
            ("--rate", self.rate.map(|r| r.low)),
            ("--harvest-tokens", self.harvest_tokens.map(|r| r.low)),
        ];
        for &(field, value) in own.iter().chain(more) {
            if let Some(value) = value
                && !(value > 0.0 && value.is_finite())
            {
                return Err(CostError::Field {
                    field,
                    value: value.to_string(),
                    expected: "a positive, finite number",
                });
            }
        }
        Ok(())
    }
}

/// A GPU's dense peak, FLOP/s.
pub(super) fn peak(gpu: &Gpu, precision: Precision) -> Result<f64, CostError> {
    let figure = match precision {
        Precision::Bf16 => Some(&gpu.bf16_tflops),
        Precision::Fp8 => gpu.fp8_tflops.as_ref(),
    };
    figure
        .map(|f| f.value * TERA)
        .ok_or_else(|| CostError::NoPeak { gpu: gpu.label.clone(), precision: precision.word() })
}

impl Question {
    /// Whether the model is known to have been trained in FP8, or the question is about it.
    pub(super) fn trains_in_fp8(&self) -> bool {
        let known = self.known.as_ref().and_then(|m| m.trained_in);
        known.unwrap_or(self.precision) == Precision::Fp8
    }

    /// Whether the claim is nobody's own.
    pub(super) fn is_hearsay(&self) -> bool {
        let figures = self.known.iter().flat_map(|m| [&m.usd, &m.gpu_hours]);
        figures.flatten().any(|f| f.kind != Kind::Published)
    }
}
