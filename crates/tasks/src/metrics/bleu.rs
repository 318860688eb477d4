//! BLEU of a whole corpus (Papineni et al. 2002), as sacrebleu computes it.
