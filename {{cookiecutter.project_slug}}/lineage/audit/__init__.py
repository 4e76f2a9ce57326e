"""Questions about records and subjects, answered from Git, DVC and MLflow: who is in which model, and who is not.

`questions.subject`, `questions.records`, `questions.affected` and `exclusion.excluded` take a `proof.case.Evidence` and
return data; the commands `lineage audit ...` print the same.
"""
