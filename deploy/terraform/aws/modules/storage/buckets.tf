data "aws_caller_identity" "current" {}

locals {
  # Bucket names are one space for all of AWS.
  buckets = toset(["lake", "artifacts", "backups", "logs"])
  names   = { for kind in local.buckets : kind => "${var.name}-${data.aws_caller_identity.current.account_id}-${kind}" }
  private = setsubtract(local.buckets, ["logs"])
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_144:A second region is another price and another law: `cryptobot backup --to` another region's bucket does it knowingly.
  #checkov:skip=CKV2_AWS_62:Nothing here waits for an object; Dagster knows what it wrote.
  #checkov:skip=CKV_AWS_18:All log to `logs`; the rule does not follow the for_each.
  #checkov:skip=CKV2_AWS_61:All have one; the rule does not follow the for_each.
  #checkov:skip=CKV_AWS_145:All but `logs` do: the load balancer writes there and knows no customer keys.
  for_each = local.buckets

  bucket = local.names[each.key]
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = local.buckets

  bucket                  = aws_s3_bucket.this[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "private" {
  for_each = local.private

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.key_arn
    }
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "logs" {
  bucket = aws_s3_bucket.this["logs"].id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_logging" "private" {
  for_each = local.private

  bucket        = aws_s3_bucket.this[each.key].id
  target_bucket = aws_s3_bucket.this["logs"].id
  target_prefix = "s3/${each.key}/"

  depends_on = [aws_s3_bucket_policy.logs]
}

resource "aws_s3_bucket_lifecycle_configuration" "private" {
  for_each = local.private

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    id     = "forget"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }

    expiration {
      expired_object_delete_marker = true
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_lifecycle_configuration" "logs" {
  bucket = aws_s3_bucket.this["logs"].id

  rule {
    id     = "forget"
    status = "Enabled"

    filter {}

    expiration {
      days = 365
    }

    noncurrent_version_expiration {
      noncurrent_days = 30
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}
