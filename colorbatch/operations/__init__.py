"""Operations on a finished output folder, a model or one picture, apart from runs."""
