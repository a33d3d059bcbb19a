"""Why released tests that pass on their own package fail on fasttsne.

A reason is by the suite and the pattern of a test's name, CLASS::TEST.  docs/migrating.rst has them
as a table for readers.
"""

INTERNAL = "it tests internals"
COLUMNS = "at most 3 components are supported"
ALL_MESHES = "the mesh works in three dimensions, too"
SEARCH = "arguments of scikit-learn's search; here neighbors='exact' is another one"
INDEX = "it tests an attribute of the index that is internal"
LAST_DIGITS = "equal to 12 digits and more, not to the last bit"
OTHER_DIGITS = "distances differ in their last digits, and a map from a random start is another one"
FLOAT32 = "affinities are float32 in a fit: equal to one part in 100,000 of the map"
MOCKS = "mock objects see other arguments: n_jobs=4 is 2 on two cores, exaggeration None is 1"
NEW_ROWS = "new rows are placed without gradient_descent: its mock object is not called"
CALLBACKS = "a callback returns a boolean or None, not a mock object"
CLASSES = "'exact' and 'approx' are the built-in searches, not scikit-learn's and Annoy"
WORDING = "an error of the same type has another message"
ACCEPTED = "it works here, where an error is expected"
REDUCED = "a perplexity that is too large is reduced, with a warning"
LOGGED = "messages go to logging, not to standard output"
OWN_WARNINGS = "a warning of scanpy's own: n_jobs has no package to fall back from"
NO_PCA = "without X_pca it is a KeyError that says how to make it"

REASONS = {
    "opentsne": {
        "TestPerplexityBased::test_handles_reducing_perplexity_value": (
            "the warning is Python's own, not a message of a logger"
        ),
        "*::test_bh_with_n_components_gt_3": COLUMNS,
        "*::test_fft_with_n_components_gt_2": ALL_MESHES,
        "TestTSNECorrectnessUsingPrecomputedDistanceMatrix::test_iris": (
            "distances are float32: affinities agree in six digits, not in sixteen"
        ),
        "TestUsageExplicitOptimizeCalls::test_explicit_optimize_calls": (
            "the fit is given 'bh', the embedding is not: up to 700 points 'auto' is exact"
        ),
        "TestSklearn::test_cosine_distance*": LAST_DIGITS,
        "TestAnnoy::test_pickle_*": INDEX,
        "TestAnnoy::test_knn_kwargs": INTERNAL,
        "TestHNSW::test_pickle_*": INDEX,
        "TestHNSW::test_knn_kwargs": (
            "a mock object of hnswlib gives no neighbours: a ValueError, not a TypeError"
        ),
        "TestNNDescent::test_random_cluster_when_invalid_indices": (
            "too few neighbours of PyNNDescent are an error, not other rows at random"
        ),
        "TestNNDescent::test_random_state_being_passed_through": (
            "PyNNDescent gets a number drawn from random_state, not random_state"
        ),
        "TestNNDescent::test_uncompiled_callable_is_compiled": (
            "a function is compiled when the index is built, not by check_metric"
        ),
        "TestTSNEParameterFlow::test_knn_kwargs": SEARCH,
        "TestGenericAffinity::test_knn_kwargs": SEARCH,
        "TestTSNEParameterFlow::test_nndescent_distances": (
            "cosine, correlation and l2 are searched as euclidean distances of prepared rows"
        ),
        "TestTSNEParameterFlow::test_embedding_transform": NEW_ROWS,
        "TestTSNEParameterFlow::test_partial_embedding_optimize": NEW_ROWS,
        "TestTSNEParameterFlow::test_constructor": MOCKS,
        "TestTSNEParameterFlow::test_embedding_optimize": MOCKS,
        "TestTSNECallbackParams::test_can_pass_callbacks_*": CALLBACKS,
        "*::test_fails_if_affinities_parameter_is_not_correct_class": (
            "matrices are accepted as affinities, text is a TypeError, not a ValueError"
        ),
        "*::test_pca_init_with_only_affinities_passed": FLOAT32,
        "TSNEInitialization::test_mismatching_embedding_dimensions_simple_api": (
            "fit says that an initialization has too many columns, the constructor does not"
        ),
        "TestRandomState::test_random_state_parameter_is_propagated_*": CLASSES,
        "TestAffinityIntegration::test_transform_with_nonstandard_affinity": ACCEPTED,
        "TestPrecomputedDistanceMatrices::*_uses_spectral_init": FLOAT32,
        "TestMisc::test_interpolation_grid_not_called_using_bh": INTERNAL,
    },
    "scikit-learn": {
        "*::test_exact_no_precomputed_sparse*": ACCEPTED,
        "*::test_high_perplexity_precomputed_sparse_distances*": WORDING,
        "*::test_non_positive_computed_distances": WORDING,
        "*::test_pca_initialization_not_compatible_with_precomputed_kernel": WORDING,
        "*::test_n_components_range": WORDING,
        "*::test_verbose": LOGGED,
        "*::test_n_iter_without_progress": LOGGED,
        "*::test_accessible_kl_divergence": LOGGED,
        "*::test_tsne_with_different_distance_metrics*cosine*": OTHER_DIGITS,
        "*::test_tsne_with_mahalanobis_distance": "V is the covariance of the data if not given",
        "*::test_tsne_perplexity_validation*": REDUCED,
    },
    "scanpy": {
        "test_embedding::test_tsne*": OWN_WARNINGS,
        "test_deprecations::test_deprecate_multicore_tsne": OWN_WARNINGS,
        "test_backed::test_backed_error*tsne*": NO_PCA,
    },
}
