"""The one package of the wheel: the folders of the program are put into it when it is built.

In a checkout it holds no more than what starts the program (`build_backend/one_package.py`).
"""
