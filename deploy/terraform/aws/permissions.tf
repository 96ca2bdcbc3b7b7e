# What the code of each service may do with what is stored. Nobody may do anything to a bucket itself.

locals {
  buckets = module.storage.bucket_arns
  of_key = {
    read  = { actions = ["kms:Decrypt"], resources = [module.secrets.key_arn] }
    write = { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = [module.secrets.key_arn] }
  }
  read = {
    for bucket, arn in local.buckets : bucket => [
      { actions = ["s3:ListBucket", "s3:GetBucketLocation"], resources = [arn] },
      { actions = ["s3:GetObject"], resources = ["${arn}/*"] },
    ]
  }
  write = {
    for bucket, arn in local.buckets : bucket => [
      { actions = ["s3:ListBucket", "s3:GetBucketLocation"], resources = [arn] },
      {
        actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        resources = ["${arn}/*"]
      },
    ]
  }
  run_logs = "${local.buckets["artifacts"]}/dagster/*"

  statements = {
    webserver   = [{ actions = ["s3:GetObject"], resources = [local.run_logs] }, local.of_key.read]
    daemon      = []
    code        = concat(local.write["lake"], [local.of_key.write])
    mlflow      = concat(local.write["artifacts"], [local.of_key.write])
    predictions = concat(local.read["lake"], [local.of_key.read])
    dashboard   = concat(local.read["lake"], [local.of_key.read])
    metrics     = concat(local.read["lake"], [local.of_key.read])
    run = concat(
      local.write["lake"],
      local.write["backups"],
      [{ actions = ["s3:GetObject", "s3:PutObject"], resources = [local.run_logs] }, local.of_key.write],
    )
  }
}
