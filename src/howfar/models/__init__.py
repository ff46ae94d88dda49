"""Sequence-to-expression models behind one interface (`base.SequenceModel`)."""
